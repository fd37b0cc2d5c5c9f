"""Separates a mix into speech, effects and music.

A demixer works on sections with some sound around them, so a long sound needs little memory beyond its own; the
sections are cross-faded. Before the first section a demixer hears the sound's first second, so that it has settled
where the sound begins. Whatever a demixer does, its tracks add up to the mix.
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
from mtv_jax.typing import TRACKS

DEFAULT_DEMIXER = "dfn3+hpss"

SECTION_SECONDS = 60
_PAST_SECONDS = 8
"""Heard, but not kept, before a section: the recurrent network settles (4 s: error -16 dB, 8 s: -26 dB)."""
_FUTURE_SECONDS = 1
"""Heard, but not kept, after a section: look-ahead of the network, and medians over time."""
_LEAD_SECONDS = 1
"""Of the sound's own beginning, heard but not kept where there is no past: a network that starts in the midst of speech
loses its first .3 s. A mirror image, or more of it, does less (loudness of recorded voices in theatre clips: .963 with
the true one; mirrored .948, 2 s mirrored .954, none .915)."""
_FADE_SECONDS = 0.02
_TRANSFORM_SECONDS = 0.0232
"""Of a window (1024 samples at 44.1 and 48 kHz, 512 at 16): short, for strikes."""
_MEDIANS = (21, 61)
"""Frames along which something steady is music, and frequencies along which something short is an effect."""
_MARGIN = 2.0
"""By which the short must outweigh the steady. What is neither is music's: a track of effects with traces of all else
makes a model see strikes everywhere. Chosen with the two above on theatre clips (README, "Sound that is one file")."""


@dataclasses.dataclass(frozen=True)
class TrackModel:
    """What made a track: `fidelity` is `real` (trained weights) or `classical` (signal processing)."""

    name: str
    version: str
    fidelity: str
    licence: str


@dataclasses.dataclass(frozen=True)
class Demixer:
    """A way to separate: `separate(samples [s, channels], sample_rate)` gives tracks that add up to them."""

    separate: Callable[[np.ndarray, int], dict[str, np.ndarray]]
    models: Callable[[], dict[str, TrackModel]]


@dataclasses.dataclass(frozen=True)
class DemixResult:
    """Tracks (float32, shaped as the mix) with the model that made each."""

    tracks: dict[str, np.ndarray]
    sample_rate: int
    models: dict[str, TrackModel]


def demix(
    samples: np.ndarray, sample_rate: int, demixer: str = DEFAULT_DEMIXER, *, end: int | None = None
) -> DemixResult:
    """Separates a mix held in memory.

    Args:
      samples: float32 [s] or [s, channels]; channels are separated one by one.
      sample_rate: Hz.
      demixer: a name in `DEMIXERS`.
      end: samples that are wanted; what is behind them is heard as far as that makes a difference. None: all.

    Returns:
      speech, effects and music, each of the mix's shape (up to `end`); they add up to it.

    Raises:
      UserError: unknown demixer, or its package is not installed.
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
    """Separates a mix of any length piece by piece, in memory that does not grow with it.

    Args:
      read: (first, last) -> samples [last - first, channels] of the mix, fewer only where the mix ends.
      sample_rate: Hz.
      demixer: a name in `DEMIXERS`.

    Yields:
      Track name -> float32 [s, channels]; pieces of `SECTION_SECONDS`, one after another.
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
    """Tracks of a mix [s, channels], heard behind samples of its beginning and before some of its mirror image."""
    if not len(mix):
        return separate(mix, sample_rate)
    lead = np.resize(mix, (before, mix.shape[1])) if len(mix) < before else mix[:before]
    heard = np.pad(np.concatenate([lead, mix]), ((0, behind), (0, 0)), mode="symmetric")
    tracks = separate(heard, sample_rate)
    return {name: track[before : before + len(mix)] for name, track in tracks.items()}


def find_demixer(name: str) -> Demixer:
    """The demixer of that name. Raises UserError, with the names there are, if there is none."""
    if name not in DEMIXERS:
        raise UserError(f"{name}: no such demixer; there is {', '.join(sorted(DEMIXERS))}")
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
"""By name. `dfn3+hpss`: DeepFilterNet3 takes the speech, harmonic-percussive separation parts the rest."""


def _percussive(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The percussive part of [s, channels] by medians along time and along frequency (Fitzgerald 2010).

    With a margin (Driedger et al. 2014), so that what is neither steady nor short is left out.
    """
    import librosa

    n_fft = 2 ** round(np.log2(_TRANSFORM_SECONDS * sample_rate))
    if len(samples) < n_fft:
        return samples.copy()  # too short to hear a pitch in: all of it is effects
    effects = np.empty_like(samples)
    for channel in range(samples.shape[1]):  # one at a time: spectra are the peak of memory
        spectrum = librosa.stft(samples[:, channel], n_fft=n_fft)
        _, mask = librosa.decompose.hpss(spectrum, kernel_size=_MEDIANS, mask=True, margin=_MARGIN)
        effects[:, channel] = librosa.istft(spectrum * mask, n_fft=n_fft, length=len(samples))
    return effects
