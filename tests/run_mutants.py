"""`make mutants`: does a test fail for each mutant of `tests/mutants.toml`?

Each entry names a file, a text in it, what the text becomes, and the tests (or files of tests) each of which has to
fail. Entries are applied one by one in temporary worktrees of the code as it is (files that git does not know are left
out), so that the checkout is never touched. Exits with 1 if a mutant survives, 2 if an entry does not fit the code.
"""

import argparse
import os
import queue
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "mutants.toml"
_TESTS_FAILED = 1
"""pytest's exit code; others are errors of its own, such as a module that cannot be imported."""
_LONGEST = 3600.0


@dataclass(frozen=True)
class Mutant:
    """A mutation, and the tests that have to fail (pytest's node ids)."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """The file with the mutation. Raises ValueError unless the text is there exactly once."""
        text = (root / self.file).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its text is {count} times in {self.file}, not once")
        return text.replace(self.old, self.new)


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """The list, in its order."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    return [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


@contextmanager
def worktree() -> Iterator[Path]:
    """A temporary worktree with the tracked files as they are now."""
    _git("status")  # or git stash fails where a file was written again without a change
    state = _git("stash", "create") or "HEAD"
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        path = Path(folder) / "code"
        _git("worktree", "add", "--quiet", "--detach", str(path), state)
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


def failing(root: Path, tests: Sequence[str], workers: int = 0) -> tuple[int, str]:
    """Exit code of pytest on some tests of a worktree, and the end of what it wrote."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    command += ["-n", str(workers), "--dist", "loadfile"]
    env = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=_LONGEST)
    return done.returncode, (done.stdout + done.stderr)[-2000:]


def try_mutant(root: Path, mutant: Mutant) -> str:
    """`killed` if each of its tests fails, `SURVIVED`, or what went wrong."""
    path = root / mutant.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(root), encoding="utf-8")
    try:
        for test in mutant.tests:
            code, reported = failing(root, [test])
            if code != _TESTS_FAILED:
                return (
                    f"SURVIVED {test}" if code == 0 else f"BROKEN: pytest exits {code} of {test}\n{reported}"
                )
    except subprocess.TimeoutExpired:
        return f"BROKEN: no end after {_LONGEST:.0f} s"
    finally:
        path.write_text(whole, encoding="utf-8")
    return "killed"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of mutants; none: all")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    args = parser.parse_args(argv)
    mutants = read_mutants()
    if unknown := sorted(set(args.names) - {mutant.name for mutant in mutants}):
        print(f"error: {', '.join(unknown)}: no mutant of that name in {LIST.name}", file=sys.stderr)
        return 2
    chosen = [mutant for mutant in mutants if mutant.name in args.names or not args.names]
    try:
        for mutant in chosen:
            mutant.applied(ROOT)
    except ValueError as error:
        print(f"error: {error}; bring {LIST.name} up to date", file=sys.stderr)
        return 2
    return _try_all(chosen, args.jobs)


def _try_all(mutants: Sequence[Mutant], jobs: int) -> int:
    begun = time.monotonic()
    with worktree() as code:
        # Tests that fail anyway would kill everything.
        status, reported = failing(code, sorted({test for mutant in mutants for test in mutant.tests}), jobs)
    if status:
        print(f"error: the tests fail without any mutant:\n{reported}", file=sys.stderr)
        return 2
    trees: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def one(mutant: Mutant) -> str:
        tree = trees.get()
        try:
            return try_mutant(tree, mutant)
        finally:
            trees.put(tree)

    found: dict[str, str] = {}
    with _worktrees(jobs) as paths, ThreadPoolExecutor(jobs) as pool:
        for path in paths:
            trees.put(path)
        for mutant, outcome in zip(mutants, pool.map(one, mutants), strict=True):
            found[mutant.name] = outcome
            print(f"[{len(found)}/{len(mutants)}] {mutant.name}: {outcome}", flush=True)
    wrong = [name for name, outcome in found.items() if outcome != "killed"]
    print(f"{len(mutants)} mutants, {len(wrong)} survived or broken, {time.monotonic() - begun:.0f} s")
    return 1 if wrong else 0


@contextmanager
def _worktrees(count: int) -> Iterator[list[Path]]:
    if not count:
        yield []
        return
    with worktree() as first, _worktrees(count - 1) as rest:
        yield [first, *rest]


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
