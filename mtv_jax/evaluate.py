"""`python -m mtv_jax.evaluate`: how well videos follow their sound."""

import argparse
from pathlib import Path

from mtv_jax.io.cli import parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, write_json


def _parser() -> argparse.ArgumentParser:
    top = parser("evaluate", "Measure AV-Align (do sounds begin when something moves?) of videos with sound.")
    top.add_argument("videos", type=Path, nargs="+", help="video files, or folders of mp4 files")
    top.add_argument("--out", type=Path, required=True, help="folder for results.json")
    return top


def main(argv: list[str]) -> int:
    """Runs the command; 2 if no video could be measured."""
    args = _parser().parse_args(argv)
    files = [file for path in args.videos for file in _files(path)]
    from mtv_jax.evaluation.av_align import optical_flow
    from mtv_jax.evaluation.report import alignment_report

    optical_flow()  # told once if it is missing, not once a video
    report = alignment_report(files)
    write_json(args.out / "results.json", report)
    summary = report["summary"]
    for row in report["rows"]:
        print(f"{row['video']}: {row['error'] if 'error' in row else format(row['score'], '.3f')}")
    print(
        f"{summary['metric']}: {summary['mean']} over {summary['videos']} videos, {summary['failed']} failed"
    )
    return 0 if summary["videos"] else 2


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [existing_file(path)]
    files = sorted(path.glob("*.mp4"))
    if not files:
        raise UserError(f"{path}: no mp4 file in it")
    return files


if __name__ == "__main__":
    run(main)
