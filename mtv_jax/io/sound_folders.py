"""Folders of sounds and videos: selects files by suffix, in folders below too, and explains why others are ignored."""

import os
from pathlib import Path

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import visible
from mtv_jax.io.video_folders import VIDEO_SUFFIXES

_ENDINGS = (
    "3ga aac ac3 aif aifc aiff amr ape au caf dts eac3 flac m4a m4b mka mp2 mp3 mpc oga ogg opus rf64 snd spx tta voc "
    "w64 wav wma wv"
)
SOUND_SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Suffixes of the sound formats that PyAV (FFmpeg) opens; the format itself is detected from the content."""


def sounds_in(directory: str | os.PathLike) -> tuple[list[Path], dict[Path, str]]:
    """The sound files and videos in a folder and in those below it, and the reason why each other entry is ignored.

    Hidden files are left out of both; links to folders are not followed. Raises UserError if there is no sound.
    """
    files: list[Path] = []
    ignored: dict[Path, str] = {}
    _collect(Path(directory), files, ignored)
    if not files:
        raise UserError(f"{directory}: no sound or video in it, by suffix (such as .wav, .flac, .mp3, .mp4)")
    return files, ignored


def _collect(directory: Path, files: list[Path], ignored: dict[Path, str]) -> None:
    for entry in visible(directory):
        if entry.is_dir() and not entry.is_symlink():
            try:
                _collect(entry, files, ignored)
            except PermissionError:
                ignored[entry] = "a folder that cannot be read (permission denied)"
        elif reason := _reason(entry):
            ignored[entry] = reason
        else:
            files.append(entry)


def _reason(entry: Path) -> str | None:
    """Why an entry is ignored; None for a sound or video. A broken link is none: it is reported as a bad file."""
    if entry.is_dir():
        return "a link to a folder"
    if entry.suffix.lower() not in SOUND_SUFFIXES | VIDEO_SUFFIXES:
        return "not a sound or video"
    return None if entry.is_file() or not entry.exists() else "not a file"
