"""`python -m mtv_jax.evaluate`: videos by published metrics, a video against its scene, a pipeline track by track."""

import argparse
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.flags import SUITE, SUITE_NAMES, SUITES, evaluate_parser, given
from mtv_jax.evaluation.objects.options import ObjectsOptions
from mtv_jax.evaluation.report.schema import RESULTS
from mtv_jax.evaluation.study.options import study_parser
from mtv_jax.evaluation.videos.options import NAMES, GenerateOptions, Part, VideoOptions, generate_parser
from mtv_jax.io.cli import run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output
from mtv_jax.io.lock import FolderLock


def main(argv: list[str]) -> int:
    """Runs the command; 2 if nothing could be measured."""
    if argv[:1] == ["generate"]:
        return _generate(argv[1:])
    if argv[:1] == ["study"]:
        args = study_parser().parse_args(argv[1:])
        from mtv_jax.evaluation.study.command import run_study

        return run_study(args)
    args = evaluate_parser().parse_args(argv)
    if getattr(args, "metrics", None) == "list":
        from mtv_jax.evaluation.videos.catalogue import catalogue_lines

        print("\n".join(catalogue_lines()))
        return 0
    if args.compare is not None:
        given(args, (), (*SUITE_NAMES, *NAMES), "without --compare")
        if args.files or args.scene or args.suite:
            raise UserError("--compare: takes two results and measures nothing; leave the rest out")
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

    print(generate_videos(GenerateOptions(**values), out))
    return 0


def _measure_suite(args: argparse.Namespace) -> int:
    """Measures a pipeline."""
    if args.files:
        raise UserError(f"{args.files[0]}: --suite {args.suite} makes its own videos; leave files out")
    if args.scene is not None:
        raise UserError(f"--scene {args.scene}: is for a video, not with --suite {args.suite}")
    others = SUITE_NAMES - SUITE[args.suite].keys()
    given(args, (), others, "with another --suite")
    options = SUITES[args.suite](**given(args, SUITE[args.suite], NAMES, "without --suite"))
    check_output(args.out, folder=True)
    options.check(force=args.force)
    if getattr(options, "scales", None):
        return _measure_scales(options, args.out, overwrite=args.overwrite)
    with FolderLock(args.out, "--out"):
        report, done = _run_suite(options, args.out, overwrite=args.overwrite)
    if done:
        print(f"{args.out / RESULTS}: the same measurement was made before; remove it to measure again")
        return 0
    return _show(report, args.out)


def _measure_scales(options: Any, out: Path, *, overwrite: bool) -> int:
    """Measures a pipeline at several guidance scales of each track."""
    from mtv_jax.evaluation.theatre.scales import TABLE, evaluate_scales

    with FolderLock(out, "--out"):
        print(evaluate_scales(options, out, overwrite=overwrite))
    print(f"table: {out / TABLE}")
    return 0


def _run_suite(options: Any, out: Path, *, overwrite: bool) -> Any:
    """Measures by the suite that the options are of."""
    if isinstance(options, ObjectsOptions):
        from mtv_jax.evaluation.objects.pipeline import evaluate_objects

        return evaluate_objects(options, out, overwrite=overwrite)
    from mtv_jax.evaluation.theatre.pipeline import evaluate_pipeline

    return evaluate_pipeline(options, out, overwrite=overwrite)


def _measure_scene(args: argparse.Namespace) -> int:
    """Measures a video against its scene."""
    given(args, (), (*SUITE_NAMES, *NAMES), "without --scene")
    if len(args.files) != 1:
        raise UserError(f"--scene {args.scene}: takes one video, not {len(args.files)}")
    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[RESULTS])
    from mtv_jax.evaluation.objects.scene import evaluate_objects_scene, is_objects_scene
    from mtv_jax.evaluation.scene_suite import evaluate_scene

    measure = evaluate_objects_scene if is_objects_scene(Path(args.scene)) else evaluate_scene
    return _show(measure(args.files[0], args.scene, args.out), args.out)


def _measure_videos(args: argparse.Namespace) -> int:
    """Measures videos by metrics."""
    options = VideoOptions(**given(args, NAMES, SUITE_NAMES, "with --suite"))
    if not args.files and options.manifest is None:
        raise UserError(
            "no videos: name some or give a --manifest, or measure a pipeline by --suite theatre --preset NAME"
        )
    # A part leaves the report as it is.
    marks = [RESULTS] if options.part == Part() else []
    check_output(args.out, folder=True, overwrite=args.overwrite, marks=marks)
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
