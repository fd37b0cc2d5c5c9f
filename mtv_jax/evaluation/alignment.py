"""AV-Align of video files: a row for each, the failures, and the mean."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mtv_jax.evaluation.metrics.av_align import AV_ALIGN, VERSION, Scored, av_align
from mtv_jax.evaluation.report.output import write_report
from mtv_jax.evaluation.report.schema import Failure, Report, VideoRow
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, sha256
from mtv_jax.io.motion import optical_flow
from mtv_jax.io.progress import progress
from mtv_jax.io.video_folders import videos_in


def evaluate_alignment(paths: Sequence[Path], out: Path) -> Report:
    """Measures video files, or folders of them, and writes the report to a folder.

    A file that cannot be measured is a failure in the report. Raises UserError for a path that does not exist, and
    if OpenCV is missing.
    """
    files = [file for path in paths for file in video_files(path)]
    optical_flow()  # fails once if OpenCV is missing, not once for each video
    report = alignment_report(files)
    write_report(out, report)
    return report


def alignment_report(files: Sequence[Path]) -> Report:
    """The report on video files."""
    rows, failures, state = [], [], AV_ALIGN.empty()
    for number, file in enumerate(progress(files, "measuring")):
        try:
            alignment = av_align(file)
            rows.append(VideoRow(file.name, sha256(file), values=asdict(alignment)))
            state = AV_ALIGN.update(state, Scored(number, alignment))
        except UserError as error:
            failures.append(Failure(file.name, str(error)))
    provenance = {"metric": VERSION, "python": platform.python_version()}
    return Report("av_align", AV_ALIGN.compute(state), provenance, rows, failures)


def video_files(path: Path) -> list[Path]:
    """The file at `path`, or the videos in the folder there. Raises UserError if nothing is there."""
    return videos_in(path)[0] if path.is_dir() else [existing_file(path)]
