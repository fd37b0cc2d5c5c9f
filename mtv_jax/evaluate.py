"""`python -m mtv_jax.evaluate`: how well videos follow their sound, a video its scene, a pipeline each track."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.report.schema import RESULTS
from mtv_jax.evaluation.theatre.options import SuiteOptions
from mtv_jax.io.cli import add_force, add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output
from mtv_jax.io.lock import FolderLock

_OPTIONS = {field.name: field for field in fields(SuiteOptions)}


def _parser() -> argparse.ArgumentParser:
    top = parser(
        "evaluate",
        "Measures AV-Align (do sounds begin when something moves?) of videos with sound; or, with --scene, how well "
        "a video made for a scene of the theatre follows its speech, effects and music; or, with --suite theatre, "
        "how well a pipeline follows each track of its sound and its text.",
    )
    top.add_argument("files", metavar="VIDEO", type=Path, nargs="*", help="video files, or folders of them")
    top.add_argument(
        "--out", type=Path, required=True, help="folder for results.json and the page of the report"
    )
    add_overwrite(top)
    add_force(top)
    top.add_argument(
        "--suite", choices=("theatre",), help="measure a pipeline by this suite, instead of videos"
    )
    top.add_argument(
        "--scene",
        type=Path,
        help="folder of the sounds and the plan that the one video was made for, such as "
        "mtv_jax/assets/scenes/bell, or one that `python -m mtv_jax.curate scene` makes of your own sounds; also "
        "writes a contact sheet",
    )
    group = top.add_argument_group("with --suite theatre")
    for name, option in _OPTIONS.items():
        # An option that is not given is absent, so that one given without a suite is noticed.
        group.add_argument(_flag(name), default=argparse.SUPPRESS, **option.metadata)
    return top


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def main(argv: list[str]) -> int:
    """Runs the command; 2 if no video could be measured."""
    args = _parser().parse_args(argv)
    given = {name: value for name, value in vars(args).items() if name in _OPTIONS}
    if args.suite is None:
        return _measure_videos(args, given)
    if args.files:
        raise UserError(f"{args.files[0]}: --suite {args.suite} makes its own videos; leave files out")
    if args.scene is not None:
        raise UserError(f"--scene {args.scene}: is for a video, not with --suite {args.suite}")
    options = SuiteOptions(**given)
    check_output(args.out, folder=True)
    options.check(force=args.force)
    with FolderLock(args.out, "--out"):
        from mtv_jax.evaluation.theatre.pipeline import evaluate_pipeline

        report, done = evaluate_pipeline(options, args.out, overwrite=args.overwrite)
    if done:
        print(f"{args.out / RESULTS}: the same measurement was made before; remove it to measure again")
        return 0
    return _show(report, args.out)


def _measure_videos(args: argparse.Namespace, given: dict[str, Any]) -> int:
    """Measures the videos that were given, alone or against a scene."""
    if given:
        flags = ", ".join(map(_flag, given))
        raise UserError(f"{flags}: only with --suite theatre")
    if not args.files:
        raise UserError("no videos: name some, or measure a pipeline by --suite theatre --preset NAME")
    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[RESULTS])
    if args.scene is None:
        from mtv_jax.evaluation.alignment import evaluate_alignment

        return _show(evaluate_alignment(args.files, args.out), args.out)
    if len(args.files) > 1:
        raise UserError(f"{args.files[1]}: --scene takes one video")
    from mtv_jax.evaluation.scene_suite import evaluate_scene

    return _show(evaluate_scene(args.files[0], args.scene, args.out), args.out)


def _show(report: Any, out: Path) -> int:
    from mtv_jax.evaluation.report.output import PAGE
    from mtv_jax.evaluation.report.text import text_lines

    for line in text_lines(report):
        print(line)
    print(f"report: {out / PAGE}")
    return 0 if report.figures else 2


if __name__ == "__main__":
    run(main)
