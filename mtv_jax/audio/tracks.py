"""The tracks that condition a video, and the sound that is muxed with it."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from mtv_jax.audio.loudness import normalize_speech
from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR, find_separator
from mtv_jax.io.audio import Recording, fit_length, num_samples, read_recording, resample
from mtv_jax.io.errors import UserError
from mtv_jax.names import PERSON, TRACK_RATE, TRACKS, person_of, track_kind, track_label, track_name

T = TypeVar("T")

MIX = "audio"
"""The name of a mixed file among sounds by name."""
_PEAK = 0.99

Tracks = Mapping[str, Float[np.ndarray, "_"]]
"""Mono sound at 16 kHz, float32 [s], by the name of its track. All have the same length unless noted otherwise."""


def load_tracks(
    files: Mapping[str, str | os.PathLike], names: Sequence[str] = TRACKS, **options: Any
) -> dict[str, Float[np.ndarray, "_"]]:
    """Reads tracks, or separates a mix: `make_tracks` with files by name, and its `options`."""
    return make_tracks({name: read_recording(path) for name, path in files.items()}, names, **options)


def make_tracks(
    sounds: Mapping[str, Recording],
    names: Sequence[str] = TRACKS,
    *,
    separator: str = DEFAULT_SEPARATOR,
    duration: float | Fraction | None = None,
    pad: bool = True,
    normalize_loudness: bool = False,
) -> dict[str, Float[np.ndarray, "_"]]:
    """Makes tracks of the given sounds. A track without a sound is silent.

    Args:
      sounds: a recording for each track, by its name; or one mix, named `audio`, which is separated by `separator`; its
        speech is assigned to the first speaker.
      names: the tracks to return.
      separator: its name (`audio.separation.separators`).
      duration: seconds of the result, cut or padded with silence. None: the length of the longest track.
      pad: whether shorter tracks are padded with silence; otherwise each has the length of its sound.
      normalize_loudness: whether speech is normalised to a fixed level (`mtv_jax.audio.loudness`).

    Raises:
      UserError: both a mix and tracks are given; neither a sound nor `duration` is given; a track is not in `names`.
    """
    check_sounds({name: sound.path for name, sound in sounds.items()}, names)
    if not sounds and duration is None:
        raise UserError("no sound: give speech, effects, music or audio, or a duration for silence")
    if MIX in sounds:
        tracks = _separated(sounds[MIX], separator, duration)
    else:
        heard = {name: x if duration is None else x.first(duration) for name, x in sounds.items()}
        tracks = {name: sound.mono(TRACK_RATE) for name, sound in heard.items()}
    if normalize_loudness:
        mix = mixed(tracks.values()) if MIX in sounds else None
        for name in [name for name in tracks if track_kind(name) == "speech"]:
            tracks[name] = normalize_speech(tracks[name], TRACK_RATE, mix)
    longest = max((len(samples) for samples in tracks.values()), default=0)
    length = longest if duration is None else num_samples(duration, TRACK_RATE)
    silence = np.zeros(length, np.float32)
    return {
        name: tracks.get(name, silence) if not pad else fit_length(tracks.get(name, silence), length)
        for name in names
    }


def check_sounds(files: Mapping[str, str | os.PathLike], taken: Sequence[str]) -> None:
    """Raises UserError for a mix together with tracks, and for a track that is not in `taken`."""
    tracks = [name for name in files if name != MIX]
    if tracks and MIX in files:
        raise UserError(f"audio and {' and '.join(tracks)}: give one mixed file or separate tracks, not both")
    for name in tracks:
        if name in taken:
            continue
        if track_kind(name) == "speech":
            count = sum(track_kind(track) == "speech" for track in taken)
            speakers = "one speaker; mix both into speech" if count == 1 else f"{count} speakers"
            raise UserError(f"{track_label(name)} {os.fspath(files[name])}: this model has {speakers}")
        raise UserError(f"{name}: no such track; this model takes {', '.join(taken)}")


def by_track(given: Mapping[str, T]) -> dict[str, T]:
    """What is given for tracks, by their names in the model: `speech:Person2` is `speech2` (`names.track_name`).

    Raises UserError for a name such as `speech:Bob`, and for two names of one track.
    """
    found: dict[str, T] = {}
    for name, value in given.items():
        track = track_name(name)
        if track is None:
            kind, _, who = name.partition(":")
            if kind != TRACKS[0]:
                raise UserError(f"{name}: only {TRACKS[0]} is of a person; write {kind}")
            raise UserError(f"{name}: {who or 'nobody'} is no speaker; they are {PERSON}1, {PERSON}2, ...")
        if track in found:
            raise UserError(f"{name}: given twice; {track} and {track_label(track)} are the same track")
        found[track] = value
    return found


def check_persons(tracks: Iterable[str], described: Collection[int] = ()) -> None:
    """Raises UserError if the speakers of `tracks` are not numbered without a gap: 1 and 3 without 2.

    A person in `described`, the numbers of those in the text (`text.template.persons_in`), may be silent.
    """
    given = {person for track in tracks if (person := person_of(track)) is not None}
    missing = sorted(set(range(1, max(given, default=0))) - given - set(described))
    if missing:
        names = ", ".join(f"{PERSON}{person}" for person in sorted(given))
        raise UserError(
            f"speech of {names}: {PERSON}{missing[0]} has none and is not in the text; number the speakers 1, 2, ..."
        )


def mix_sounds(
    sounds: Mapping[str, Recording], sample_rate: int, duration: float | Fraction
) -> Float[np.ndarray, "_ 2"]:
    """The stereo sound of a video of `duration` seconds: the mix unchanged, or the sum of the tracks.

    If the peak would exceed full scale, the whole sound is scaled to a peak of 0.99, so that it does not clip and keeps
    its dynamics.
    """
    length = num_samples(duration, sample_rate)
    total = np.zeros((length, 2), np.float32)
    for sound in sounds.values():
        total = total + fit_length(sound.first(duration).stereo(sample_rate), length)
    peak = float(np.abs(total).max(initial=0))
    return total * np.float32(_PEAK / peak) if peak > 1 else total


def mixed(tracks: Iterable[Float[np.ndarray, "_"]]) -> Float[np.ndarray, "_"]:
    """The sum of tracks of equal length, float32 [s]."""
    first, *others = tracks
    return sum(others, start=first)


def _separated(
    sound: Recording, separator: str, duration: float | Fraction | None
) -> dict[str, Float[np.ndarray, "_"]]:
    """The tracks of a mix, at most `duration` seconds; the whole file is separated, to provide context."""
    rate = sound.sample_rate
    last = None if duration is None else num_samples(duration, rate)
    tracks = separate(sound.mono(), rate, find_separator(separator, TRACKS), end=last).tracks
    return {name: resample(track[:last], rate, TRACK_RATE) for name, track in tracks.items()}
