"""The commands and links of README.md and docs/*.md.

A `bash` or `python` block runs as it stands, in the README's order of the pages: the quick tests parse its flags, the
slow one runs it. A `sh` block shows a command that takes hours or needs files of one's own: its flags are parsed.
"""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *(ROOT / page for page in re.findall(r"^- .*?\((docs/\w+\.md)\)", README, re.M))]


def blocks(*languages: str) -> list[tuple[str, str]]:
    """Language and text of the pages' blocks of code in these languages, in order."""
    found = []
    for page in PAGES:
        found += re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [(language, text) for language, text in found if language in languages]


def lines(text: str) -> list[list[str]]:
    """The words of each command of a block."""
    joined = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in joined if line and not line.startswith("#")]


def commands(*languages: str) -> list[list[str]]:
    """The words of each command of the package."""
    return [words for _, text in blocks(*languages) for words in lines(text) if words[0] == "python"]


def name(words: list[str]) -> str:
    return " ".join(words[2:5])


def test_every_page_is_linked_from_the_readme():
    assert sorted(PAGES[1:]) == sorted((ROOT / "docs").glob("*.md"))
    assert len(README.splitlines()) <= 115


def test_there_is_a_command_for_each_front_door():
    shown = {words[2].removeprefix("mtv_jax.") for words in commands("bash")}
    assert all(words[:2] == ["python", "-m"] for words in commands("bash", "sh"))
    assert shown == {"doctor", "sample", "demix", "curate", "train", "evaluate", "convert", "plan"}


class _ParsedError(Exception):
    """Its flags were all known."""


@pytest.mark.parametrize("words", commands("bash", "sh"), ids=name)
def test_its_flags_are_known(words, monkeypatch):
    known = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        known(self, args, namespace)
        raise _ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    main = importlib.import_module(words[2]).main
    if "--describe" in words:  # says at once what it knows
        assert not main(words[3:])
        return
    with pytest.raises(_ParsedError):
        main(words[3:])


def test_what_it_reads_is_bundled_or_made_by_a_command_before():
    made: list[str] = []
    for words in commands("bash"):
        for flag, word in zip(["", *words[3:]], words[3:], strict=False):
            path = word.partition("=")[2] if word.startswith("--config.data.dir=") else word
            if flag in ("--out", "--workdir"):
                made.append(path)
            elif re.match(r"(mtv_jax|configs)/", path):
                assert (ROOT / path).exists(), path
            elif path.startswith("runs/"):
                assert any(path == other or path.startswith(f"{other}/") for other in made), path


FOLDERS = ("benchmarks", "launch", "recipes", "tests", "tests/goldens")
OTHERS = [ROOT / page for page in ("CONTRIBUTING.md", *(f"{name}/README.md" for name in FOLDERS))]


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_scripts_and_make_targets_exist(page):
    text = page.read_text(encoding="utf-8")
    for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        target = (page.parent / link).resolve() if link else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), anchor
    for path in re.findall(
        r"(?:`|python )((?:benchmarks|configs|launch|mtv_jax|recipes|tests)/[\w./-]+)", text
    ):
        assert "NAME" in path or (ROOT / path).exists(), path
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    used = re.findall(r"(?:^|`)make (?:[A-Z]\S* )*([a-z-]+)", text, re.M)
    assert set(used) <= set(targets)


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.slow
def test_it_runs_as_it_stands(tmp_path):
    for folder in ("mtv_jax", "configs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for language, text in blocks("bash", "python"):
        for words in [["-c", text]] if language == "python" else [words[1:] for words in lines(text)]:
            done = subprocess.run(
                [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=3600
            )
            assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
