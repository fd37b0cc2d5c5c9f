"""Flags of `evaluate`. Imports nothing heavy: `--help` reads it."""

import argparse
from collections.abc import Collection, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.objects.options import ObjectsOptions
from mtv_jax.evaluation.theatre.options import SuiteOptions
from mtv_jax.evaluation.videos.options import add_video_flags
from mtv_jax.io.cli import add_force, add_overwrite, parser
from mtv_jax.io.errors import UserError

SUITES = {"theatre": SuiteOptions, "objects": ObjectsOptions}
"""The options of each suite."""
SUITE = {name: {field.name: field for field in fields(options)} for name, options in SUITES.items()}
"""The options of each suite by name."""
SUITE_NAMES = {name for options in SUITE.values() for name in options}


def evaluate_parser() -> argparse.ArgumentParser:
    """The parser of `evaluate` without a subcommand."""
    top = parser(
        "evaluate",
        "Measures videos by published metrics, whoever made them; or, with --scene, how well a video made for a scene "
        "of the theatre follows its speech, effects and music; or, with --suite theatre, how well a pipeline follows "
        "each track of its sound and its text; or, with --suite objects, whether a Maestro draws each source of a mix "
        "in its box; or, with --compare, how two results differ. `evaluate generate` makes "
        "the videos of a test set; `evaluate study` makes and reads a user study.",
    )
    top.add_argument(
        "files", metavar="VIDEO", type=Path, nargs="*", help="videos, folders of them, or manifests"
    )
    top.add_argument("--out", type=Path, help="folder for results.json and the page of the report; required")
    add_overwrite(top)
    add_force(top)
    top.add_argument(
        "--suite", choices=tuple(SUITES), help="measure a pipeline by this suite, instead of videos"
    )
    top.add_argument(
        "--scene",
        type=Path,
        help="folder of the sounds and the plan that the one video was made for, such as "
        "mtv_jax/assets/scenes/bell, or one that `python -m mtv_jax.curate scene` makes of your own sounds; also "
        "writes a contact sheet",
    )
    top.add_argument(
        "--compare", type=Path, nargs=2, metavar="RESULTS", help="two folders of results: paired differences"
    )
    add_video_flags(top.add_argument_group("videos"))
    shared = SUITE["theatre"].keys() & SUITE["objects"].keys()
    _add_options(top.add_argument_group("with --suite theatre or objects"), shared)
    for suite, options in SUITE.items():
        _add_options(top.add_argument_group(f"with --suite {suite}"), options.keys() - shared)
    return top


def _add_options(group: argparse._ArgumentGroup, names: Collection[str]) -> None:
    """Adds options of suites, in their order."""
    for name in dict.fromkeys(name for options in SUITE.values() for name in options):
        if name in names:
            # An option that is not given is absent, so that one given without a suite is noticed.
            group.add_argument(_flag(name), default=argparse.SUPPRESS, **_metadata(name))


def _metadata(name: str) -> dict[str, Any]:
    """The options of a flag for `argparse`; its help says of each suite what it says differently."""
    found = {suite: options[name].metadata for suite, options in SUITE.items() if name in options}
    helps = {suite: metadata["help"] for suite, metadata in found.items()}
    first = next(iter(found.values()))
    if len(set(helps.values())) == 1:
        return dict(first)
    return {**first, "help": "; ".join(f"{suite}: {text}" for suite, text in helps.items())}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def given(
    args: argparse.Namespace, names: Iterable[str], others: Iterable[str], where: str
) -> dict[str, Any]:
    """The options of `names` that were given. Raises UserError if some of `others` were, which are for `where`."""
    if strangers := [name for name in vars(args) if name in set(others) - set(names)]:
        raise UserError(f"{', '.join(map(_flag, strangers))}: only {where}")
    return {name: value for name, value in vars(args).items() if name in names}
