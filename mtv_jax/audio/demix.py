"""Separates a mix into speech, effects and music.

A demixer processes overlapping sections, which are cross-faded, so a long sound needs little memory beyond its own.
The first section is preceded by a copy of the sound's first second as warm-up. The tracks always add up to the mix.
"""

import dataclasses
import importlib.metadata
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from mtv_jax.audio import dfn3
from mtv_jax.audio.restore import restore_speech
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress
from mtv_jax.names import TRACKS

DEFAULT_DEMIXER = "dfn3+hpss"

SECTION_SECONDS = 60
_PAST_SECONDS = 8
"""Warm-up of the recurrent network before a section, discarded (4 s: error -16 dB, 8 s: -26 dB)."""
_FUTURE_SECONDS = 1
"""Context after a section, discarded: look-ahead of the network, and medians over time."""
_LEAD_SECONDS = 1
"""Copy of the sound's beginning used as warm-up at its start, discarded: a network that starts in the middle of speech
loses its first .3 s. A mirror image, or a longer one, helps less (correlation with the true loudness of recorded voices
in theatre clips: copy .963, mirrored .948, 2 s mirrored .954, none .915)."""
_FADE_SECONDS = 0.02
_TRANSFORM_SECONDS = 0.0232
"""Length of the analysis window (1024 samples at 44.1 and 48 kHz, 512 at 16): short, for strikes."""
_MEDIANS = (21, 61)
"""Median filter lengths: frames, along which steady sound is music, and bins, along which short sound is an effect."""
_MARGIN = 2.0
"""Factor by which short sound must exceed steady sound. The rest goes to the music, since an effects track with traces
of other sounds triggers events everywhere. Tuned together with the two above on theatre clips (docs/evaluation.md)."""


@dataclasses.dataclass(frozen=True)
class TrackModel:
    """The model that produced a track: `fidelity` is `real` (trained weights) or `classical` (signal processing)."""

    name: str
    version: str
    fidelity: str
    licence: str


@dataclasses.dataclass(frozen=True)
class Demixer:
    """A separation method: `separate(samples [s, channels], sample_rate)` returns tracks that add up to the samples."""

    separate: Callable[[np.ndarray, int], dict[str, np.ndarray]]
    models: Callable[[], dict[str, TrackModel]]


@dataclasses.dataclass(frozen=True)
class DemixResult:
    """Tracks (float32, shaped like the mix), each with the model that produced it."""

    tracks: dict[str, np.ndarray]
    sample_rate: int
    models: dict[str, TrackModel]


def demix(
    samples: np.ndarray, sample_rate: int, demixer: str = DEFAULT_DEMIXER, *, end: int | None = None
) -> DemixResult:
    """Separates a mix held in memory.

    Args:
      samples: float32 [s] or [s, channels]; channels are separated independently.
      sample_rate: Hz.
      demixer: a name in `DEMIXERS`.
      end: number of samples to return; later ones serve as context only. None: all.

    Returns:
      speech, effects and music, each with the shape of the mix (up to `end`); they add up to it.

    Raises:
      UserError: the demixer is unknown, or its package is not installed.
    """
    mix = np.asarray(samples, np.float32).reshape(len(samples), -1)
    length = len(mix) if end is None else min(end, len(mix))
    pieces = demix_sections(lambda first, last: mix[first:last], sample_rate, demixer)
    seconds = length / sample_rate
    if seconds >= SECTION_SECONDS + _FUTURE_SECONDS:
        pieces = progress(pieces, "separating", math.ceil(seconds / SECTION_SECONDS))
    tracks = {name: np.empty_like(mix[:length]) for name in TRACKS}
    done = 0
    for piece in pieces:
        for name, track in piece.items():
            tracks[name][done : done + len(track)] = track[: length - done]
        done += len(piece[TRACKS[0]])
        if done >= length:
            break
    tracks = {name: track.reshape(length, *np.shape(samples)[1:]) for name, track in tracks.items()}
    return DemixResult(tracks, sample_rate, find_demixer(demixer).models())


def demix_sections(
    read: Callable[[int, int], np.ndarray], sample_rate: int, demixer: str = DEFAULT_DEMIXER
) -> Iterator[dict[str, np.ndarray]]:
    """Separates a mix of any length piece by piece, in constant memory.

    Args:
      read: (first, last) -> samples [last - first, channels] of the mix, fewer only at its end.
      sample_rate: Hz.
      demixer: a name in `DEMIXERS`.

    Yields:
      Track name -> float32 [s, channels], for consecutive pieces of `SECTION_SECONDS`.
    """
    separate = find_demixer(demixer).separate
    section, future = SECTION_SECONDS * sample_rate, _FUTURE_SECONDS * sample_rate
    fade = round(_FADE_SECONDS * sample_rate)
    rise = ((np.arange(fade, dtype=np.float32) + 0.5) / fade)[:, None]
    tails: dict[str, np.ndarray] = {}
    for first in itertools.count(0, section):
        begin, last = max(first - _PAST_SECONDS * sample_rate, 0), first + section
        mix = np.asarray(read(begin, last + future), np.float32)
        ended = begin + len(mix) < last + future
        stop = len(mix) if ended else last - begin
        piece = {}
        before, behind = (_LEAD_SECONDS * sample_rate if first == 0 else 0), (future if ended else 0)
        for name, track in _separate_padded(separate, mix, sample_rate, before, behind).items():
            piece[name] = track[first - begin : stop].copy()
            if name in tails:
                piece[name][:fade] = rise * piece[name][:fade] + (1 - rise) * tails[name]
            tails[name] = track[stop : stop + fade]
        yield piece
        if ended:
            return


def _separate_padded(
    separate: Callable[[np.ndarray, int], dict[str, np.ndarray]],
    mix: np.ndarray,
    sample_rate: int,
    before: int,
    behind: int,
) -> dict[str, np.ndarray]:
    """Tracks of a mix [s, channels], with a copy of its beginning before it and a mirror image after it as context."""
    if not len(mix):
        return separate(mix, sample_rate)
    lead = np.resize(mix, (before, mix.shape[1])) if len(mix) < before else mix[:before]
    padded = np.pad(np.concatenate([lead, mix]), ((0, behind), (0, 0)), mode="symmetric")
    tracks = separate(padded, sample_rate)
    return {name: track[before : before + len(mix)] for name, track in tracks.items()}


def find_demixer(name: str) -> Demixer:
    """Returns the demixer of that name. Raises UserError, listing the known names, if there is none."""
    if name not in DEMIXERS:
        raise UserError(f"{name}: no such demixer; use one of {', '.join(sorted(DEMIXERS))}")
    return DEMIXERS[name]


def _separate_dfn3_hpss(samples: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    speech = restore_speech(samples, dfn3.extract_speech(samples, sample_rate), sample_rate)
    rest = samples - speech
    effects = _percussive(rest, sample_rate)
    return {"speech": speech, "effects": effects, "music": rest - effects}


def _dfn3_hpss_models() -> dict[str, TrackModel]:
    speech = TrackModel("DeepFilterNet3", dfn3.version(), "real", "MIT OR Apache-2.0")
    version = importlib.metadata.version("librosa")
    music = TrackModel(
        "HPSS (what is neither speech nor percussive)", f"librosa {version}", "classical", "ISC"
    )
    effects = dataclasses.replace(music, name="HPSS (percussive part of what is not speech)")
    return {"speech": speech, "effects": effects, "music": music}


DEMIXERS = {DEFAULT_DEMIXER: Demixer(_separate_dfn3_hpss, _dfn3_hpss_models)}
"""Demixers by name. `dfn3+hpss`: DeepFilterNet3 for speech, harmonic-percussive separation for the rest."""


def _percussive(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The percussive part of [s, channels], by median filtering along time and frequency (Fitzgerald 2010).

    A margin (Driedger et al. 2014) excludes sound that is neither steady nor short.
    """
    import librosa

    n_fft = 2 ** round(np.log2(_TRANSFORM_SECONDS * sample_rate))
    if len(samples) < n_fft:
        return samples.copy()  # too short for a pitch: all of it counts as effects
    effects = np.empty_like(samples)
    for channel in range(samples.shape[1]):  # one at a time: spectra dominate the peak memory
        spectrum = librosa.stft(samples[:, channel], n_fft=n_fft)
        _, mask = librosa.decompose.hpss(spectrum, kernel_size=_MEDIANS, mask=True, margin=_MARGIN)
        effects[:, channel] = librosa.istft(spectrum * mask, n_fft=n_fft, length=len(samples))
    return effects
