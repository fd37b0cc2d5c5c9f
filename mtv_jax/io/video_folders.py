"""Folders of videos: selects video files by suffix and explains why other entries are skipped."""

import os
from pathlib import Path

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import visible

_ENDINGS = (
    "3g2 3gp asf avi divx dv f4v flv m1v m2t m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mpv mts mxf nut ogm ogv "
    "qt rm rmvb ts vob webm wmv y4m"
)
VIDEO_SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Suffixes of the video formats that PyAV (FFmpeg) opens; the format itself is detected from the content."""


def videos_in(directory: str | os.PathLike) -> tuple[list[Path], dict[str, str]]:
    """The video files in a folder, by name, and the reason why each other entry is not one.

    A description (the video's name with `.json`) is listed only if it has no video; hidden files are ignored. Raises
    UserError if there is no video.
    """
    entries = visible(directory)
    files = [path for path in entries if path.suffix.lower() in VIDEO_SUFFIXES and _is_file(path)]
    if not files:
        others = f"; it has {', '.join(path.name for path in entries[:5])}" if entries else ""
        raise UserError(f"{directory}: no video in it ({', '.join(sorted(VIDEO_SUFFIXES))}){others}")
    described = {path.with_suffix(".json") for path in files}
    others = [path for path in entries if path not in files and path not in described]
    return files, {path.name: _reason(path) for path in others}


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a broken link (reported as a bad video). Pipes are excluded: reading them blocks."""
    return path.is_file() or not path.exists()


def _reason(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if not _is_file(path):
        return "not a file"
    return "no video of that name" if path.suffix.lower() == ".json" else "not a video"
