"""`python -m mtv_jax.evaluate`: videos by published metrics, a video against its scene, a pipeline track by track."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.report.schema import RESULTS
from mtv_jax.evaluation.study.options import KEY, PAGE, StudyOptions, study_parser
from mtv_jax.evaluation.theatre.options import SuiteOptions
from mtv_jax.evaluation.videos.options import (
    NAMES,
    GenerateOptions,
    VideoOptions,
    add_video_flags,
    generate_parser,
)
from mtv_jax.io.cli import add_force, add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output
from mtv_jax.io.lock import FolderLock

_SUITE = {field.name: field for field in fields(SuiteOptions)}


def _parser() -> argparse.ArgumentParser:
    top = parser(
        "evaluate",
        "Measures videos by published metrics, whoever made them; or, with --scene, how well a video made for a scene "
        "of the theatre follows its speech, effects and music; or, with --suite theatre, how well a pipeline follows "
        "each track of its sound and its text; or, with --compare, how two results differ. `evaluate generate` makes "
        "the videos of a test set; `evaluate study` makes and reads a user study.",
    )
    top.add_argument(
        "files", metavar="VIDEO", type=Path, nargs="*", help="videos, folders of them, or manifests"
    )
    top.add_argument("--out", type=Path, help="folder for results.json and the page of the report; required")
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
    top.add_argument(
        "--compare", type=Path, nargs=2, metavar="RESULTS", help="two folders of results: paired differences"
    )
    add_video_flags(top.add_argument_group("videos"))
    group = top.add_argument_group("with --suite theatre")
    for name, option in _SUITE.items():
        # An option that is not given is absent, so that one given without a suite is noticed.
        group.add_argument(_flag(name), default=argparse.SUPPRESS, **option.metadata)
    return top


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def main(argv: list[str]) -> int:
    """Runs the command; 2 if nothing could be measured."""
    if argv[:1] == ["generate"]:
        return _generate(argv[1:])
    if argv[:1] == ["study"]:
        return _study(argv[1:])
    args = _parser().parse_args(argv)
    if getattr(args, "metrics", None) == "list":
        from mtv_jax.evaluation.videos.catalogue import catalogue_lines

        print("\n".join(catalogue_lines()))
        return 0
    if args.compare is not None:
        from mtv_jax.evaluation.report.compare import comparison_lines

        print("\n".join(comparison_lines(*args.compare)))
        return 0
    if args.out is None:
        raise UserError("--out is missing: the folder for results.json and the page of the report")
    measures = _measure_suite if args.suite else _measure_scene if args.scene else _measure_videos
    return measures(args)


def _generate(argv: list[str]) -> int:
    """`evaluate generate`."""
    values = vars(generate_parser().parse_args(argv))
    out = values.pop("out")
    from mtv_jax.evaluation.videos.generate import generate_videos

    with FolderLock(out, "--out"):
        print(generate_videos(GenerateOptions(**values), out))
    return 0


def _study(argv: list[str]) -> int:
    """`evaluate study build` and `read`."""
    args = study_parser().parse_args(argv)
    if args.command == "read":
        check_output(args.out, folder=True, overwrite=args.overwrite, marks=[RESULTS])
        from mtv_jax.evaluation.study.read import read_study, study_lines

        print("\n".join(study_lines(read_study(args.key, args.answers, args.out))))
        return 0
    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[KEY])
    from mtv_jax.evaluation.study.build import build_study

    study = build_study(args.systems, StudyOptions(args.form, args.participants, args.n, args.seed), args.out)
    print(
        f"{args.out / PAGE}: {len(study.clips)} clips of {len(study.systems)} systems; put it on a web server"
    )
    print(f"{args.out / KEY}: keep it to yourself; `evaluate study read` needs it")
    return 0


def _given(args: argparse.Namespace, names: Any, others: Any, where: str) -> dict[str, Any]:
    """The options of `names` that were given. Raises UserError if some of `others` were, which are for `where`."""
    if strangers := [name for name in vars(args) if name in set(others) - set(names)]:
        raise UserError(f"{', '.join(map(_flag, strangers))}: only {where}")
    return {name: value for name, value in vars(args).items() if name in names}


def _measure_suite(args: argparse.Namespace) -> int:
    """Measures a pipeline."""
    if args.files:
        raise UserError(f"{args.files[0]}: --suite {args.suite} makes its own videos; leave files out")
    if args.scene is not None:
        raise UserError(f"--scene {args.scene}: is for a video, not with --suite {args.suite}")
    options = SuiteOptions(**_given(args, _SUITE, NAMES, "without --suite"))
    check_output(args.out, folder=True)
    options.check(force=args.force)
    with FolderLock(args.out, "--out"):
        from mtv_jax.evaluation.theatre.pipeline import evaluate_pipeline

        report, done = evaluate_pipeline(options, args.out, overwrite=args.overwrite)
    if done:
        print(f"{args.out / RESULTS}: the same measurement was made before; remove it to measure again")
        return 0
    return _show(report, args.out)


def _measure_scene(args: argparse.Namespace) -> int:
    """Measures a video against its scene."""
    _given(args, (), (*_SUITE, *NAMES), "without --scene")
    if len(args.files) != 1:
        raise UserError(f"--scene {args.scene}: takes one video, not {len(args.files)}")
    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[RESULTS])
    from mtv_jax.evaluation.scene_suite import evaluate_scene

    return _show(evaluate_scene(args.files[0], args.scene, args.out), args.out)


def _measure_videos(args: argparse.Namespace) -> int:
    """Measures videos by metrics."""
    options = VideoOptions(**_given(args, NAMES, _SUITE, "with --suite theatre"))
    if not args.files and options.manifest is None:
        raise UserError(
            "no videos: name some or give a --manifest, or measure a pipeline by --suite theatre --preset NAME"
        )
    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[RESULTS])
    from mtv_jax.evaluation.videos.command import evaluate_videos

    report = evaluate_videos(args.files, options, args.out)
    if report is None:
        return 0
    code = _show(report, args.out)
    if options.table:
        from mtv_jax.evaluation.videos.tables import table_lines

        print("\n".join(table_lines(options.table, report)))
    return code


def _show(report: Any, out: Path) -> int:
    from mtv_jax.evaluation.report.output import PAGE
    from mtv_jax.evaluation.report.text import text_lines

    for line in text_lines(report):
        print(line)
    print(f"report: {out / PAGE}")
    return 0 if report.figures else 2


if __name__ == "__main__":
    run(main)
