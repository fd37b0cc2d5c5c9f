"""The flags of `evaluate study`. Imports nothing heavy: `--help` reads it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from mtv_jax.evaluation.study.form import FORMS
from mtv_jax.io.cli import add_overwrite, count, parser, whole_number

KEY = "key.json"
PAGE = "page"


@dataclass(frozen=True)
class System:
    """Videos of one system: its name in the results, and the folder."""

    name: str
    folder: Path


@dataclass(frozen=True)
class StudyOptions:
    """What a study shows; n: the number of clips drawn at random, None: all."""

    form: str
    participants: int = 25
    n: int | None = None
    seed: int = 0


def study_parser() -> argparse.ArgumentParser:
    """The parser of `evaluate study`."""
    top = parser(
        "evaluate study",
        "A user study: `build` makes the page for participants, `read` counts their answers.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    build = commands.add_parser(
        "build",
        help="make the page of a blinded study",
        description=f"Makes a folder for a web server, OUT/{PAGE}, in which nothing tells which system made a video, "
        f"and OUT/{KEY}, which does, and stays with you.",
        formatter_class=top.formatter_class,
    )
    add = build.add_argument
    add(
        "systems",
        metavar="[NAME=]FOLDER",
        nargs="+",
        type=_system,
        help="the videos of a system, matched by id: a folder with a manifest.jsonl, or one of videos, whose ids are "
        "their names without suffix",
    )
    add("--form", choices=tuple(FORMS), required=True, help="mtv: best of the systems; maestro: 1 to 5 each")
    add("--participants", type=count, default=25, help="most participants, numbered from 1")
    add("--n", type=count, help="clips to draw at random; without it, all that every system has")
    add(
        "--seed",
        type=whole_number,
        default=argparse.SUPPRESS,
        help=f"of the draw, the names and the orders; without it, one drawn at random, which {KEY} keeps",
    )
    add("--out", type=Path, required=True, help=f"folder of {PAGE}/ and {KEY}")
    add_overwrite(build)
    read = commands.add_parser(
        "read",
        help="figures of answers",
        description="Figures of answer files, with 95 % intervals and the agreement between participants.",
        formatter_class=top.formatter_class,
    )
    read.add_argument("key", metavar="KEY", type=Path, help=f"{KEY} of the study")
    read.add_argument(
        "answers", metavar="ANSWERS", type=Path, nargs="+", help="answer files, or folders of them"
    )
    read.add_argument("--out", type=Path, required=True, help="folder for results.json")
    add_overwrite(read)
    return top


def _system(text: str) -> System:
    name, given, folder = ("", "", text) if Path(text).is_dir() else text.partition("=")
    path = Path(folder if given else text)
    name = name if given else path.resolve().name
    if not name.strip() or (given and not folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=FOLDER")
    return System(name, path)
