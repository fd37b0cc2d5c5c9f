"""Strips of frames of the measured videos, for the page: a small picture each, which is loaded when it is seen."""

from pathlib import Path

from mtv_jax.evaluation.report.contact_sheet import draw_frames
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.io.pictures import write_image

_COLUMNS = 6
"""Frames of a video: some ten kilobytes."""


def strip_of(sha256: str) -> str:
    """The path, relative to the report, of the strip of a video file with that hash."""
    return f"strips/{sha256[:24]}.jpg"


def write_strip(clip: Clip, out: Path) -> None:
    """Draws the strip of a video into a folder, unless it is there or the video cannot be read."""
    try:
        path = out / strip_of(clip.sha256)
        if path.exists():
            return
        picture = draw_frames(clip.frames, _COLUMNS)
    except Exception:
        return  # the metrics meet the same error, and report it
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, picture)
