"""The sound of each source: its own file, or what a separator by words finds in a mix."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mtv_jax.audio.separation.by_text.audiosep import SEPARATOR, AudioSep
from mtv_jax.audio.separation.by_text.base import SeparatorByText, relative_levels
from mtv_jax.audio.separation.by_text.sam_audio import WEIGHTS, SAMAudio
from mtv_jax.audio.silence import is_silent, note_silence
from mtv_jax.io.audio import Recording
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.pipelines.maestro.sources import Source

ABSENT_DB = -30.0
"""A source whose separated sound is further below the mix than this is taken for one that is not in it."""
_CONTEXT = 1.0
"""Seconds of a mix behind the end of the video that are separated with it."""


def text_separator(folder: str | os.PathLike) -> SeparatorByText:
    """The separator of a folder: AudioSep (`separator/` and `clap/`), or a checkpoint of SAM Audio.

    Raises UserError for any other folder. Networks are loaded when it separates.
    """
    folder = existing_directory(folder)
    if (folder / SEPARATOR).is_dir():
        return AudioSep(os.fspath(folder))
    if (folder / WEIGHTS).is_file():
        return SAMAudio(os.fspath(folder))
    raise UserError(
        f"{folder}: has no separator by words ({SEPARATOR}/ of AudioSep, or {WEIGHTS} of SAM Audio); give each source "
        "a file of its own, NAME=FILE, or another separator"
    )


def hear_files(sounds: Mapping[str, Recording], seconds: float) -> dict[str, Recording]:
    """The first `seconds` of each source's own sound; logs a warning of those that are silent."""
    heard = {name: sound.first(seconds) for name, sound in sounds.items()}
    for name, sound in heard.items():
        note_silence(name, sound.path, sound.samples, sound.sample_rate)
    return heard


def separate_mix(
    mix: Recording,
    sources: Sequence[Source],
    separator: SeparatorByText,
    seconds: float,
    *,
    channels: bool = False,
    force: bool = False,
) -> dict[str, Recording]:
    """The first `seconds` of each source in a mix, mono, or in as many channels as it has if `channels` is set.

    Raises UserError for a source that is not in the mix (`ABSENT_DB`), unless `force` is set.
    """
    part = mix.first(seconds + _CONTEXT)
    if not channels:
        part = replace(part, samples=part.mono()[:, None], positions=["FC"])
    if is_silent(part.samples):
        raise UserError(f"audio {mix.path}: is silent, so that there is nothing to separate")
    words = [source.name for source in sources]
    tracks = separator.separate(np.ascontiguousarray(part.samples), mix.sample_rate, words)
    heard = {name: replace(part, samples=tracks[name]).first(seconds) for name in words}
    samples = {name: sound.samples for name, sound in heard.items()}
    levels = relative_levels(part.first(seconds).samples, samples)
    quietest = min(levels, key=lambda name: levels[name])
    if levels[quietest] < ABSENT_DB and not force:
        raise UserError(
            f"source {quietest!r}: is not in {mix.path}: what is separated of it is {-levels[quietest]:.0f} dB below "
            f"the mix (the limit is {-ABSENT_DB:.0f}); leave it out, or give --force (force=True)"
        )
    return heard


def check_stereo(sounds: Mapping[str, Recording]) -> None:
    """Raises UserError unless sounds have sides that differ, by which sources are placed."""
    for sound in sounds.values():
        if sound.samples.shape[1] < 2:
            raise UserError(f"{sound.path}: is mono, so that layout stereo cannot place its sources")
    if all(np.ptp(sound.samples, axis=1).max(initial=0) == 0 for sound in sounds.values()):
        first = next(iter(sounds.values()))
        raise UserError(f"{first.path}: has the same sound on all sides; layout stereo places nothing by it")
