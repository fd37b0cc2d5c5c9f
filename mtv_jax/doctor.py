"""`python -m mtv_jax.doctor`: checks the machine and suggests fixes."""

import argparse
import json
from collections.abc import Callable

from mtv_jax.io.cli import parser, run

_MARKS = {"ok": ("ok    ", "green"), "note": ("note  ", "yellow"), "broken": ("BROKEN", "bold red")}


def _parser() -> argparse.ArgumentParser:
    top = parser(
        "doctor",
        "Check devices, Python, package versions, extras, FFmpeg, the weights of each network, the memory that "
        "sampling and training need, and the cache of compiled programs. Does not use the network. Exits with 1 if a "
        "required part is broken.",
    )
    top.add_argument(
        "--preset", default="tiny", help="preset, pipeline folder or training directory to check"
    )
    top.add_argument("--json", action="store_true", help="print the findings as JSON")
    return top


def main(argv: list[str]) -> int:
    """Runs the command. Returns 0 if the machine is usable, 1 if a required part is broken."""
    args = _parser().parse_args(argv)
    try:
        from mtv_jax.pipelines.presets import pipeline_folder
        from mtv_jax.planning.health import examine
    except ImportError as error:  # packages that the checks themselves need
        print(f"broken: {error}; pip install -e . (or `make setup`) installs what is needed")
        return 1
    pipeline_folder(args.preset)  # a missing folder is a usage error, not a finding
    found = examine(args.preset)
    broken = [finding for finding in found if finding.state == "broken"]
    if args.json:
        rows = [vars(finding) for finding in found]
        print(json.dumps({"usable": not broken, "findings": rows}, indent=2))
    else:
        _show(found)
        summary = f"{len(broken)} broken: {', '.join(finding.name for finding in broken)}"
        print(summary if broken else "usable")
    return 1 if broken else 0


def _show(found: list) -> None:
    """Prints one line per finding, by section; with colours on a terminal."""
    write, width, section = _writer(), max(len(finding.name) for finding in found), None
    for finding in found:
        if finding.section != section:
            section = finding.section
            write("", section, "bold")
        fix = f"  ->  {finding.fix}" if finding.fix else ""
        mark, style = _MARKS[finding.state]
        write(f"  {mark} ", f"{finding.name:<{width}}  {finding.message}{fix}", style)


def _writer() -> Callable[[str, str, str], None]:
    """Returns a function that prints a mark in a style and the rest of its line; without rich, in plain text."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return lambda mark, rest, style: print(mark + rest)
    console = Console(highlight=False)

    def write(mark: str, rest: str, style: str) -> None:
        line = Text.assemble((mark, style), rest) if mark else Text(rest, style)
        console.print(line, soft_wrap=True)

    return write


if __name__ == "__main__":
    run(main)
