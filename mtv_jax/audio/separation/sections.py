"""Separates a mix of any length: overlapping sections, cross-faded, so that a long sound needs little memory.

The first section is preceded by a copy of the sound's beginning as warm-up, the last is followed by a mirror image of
its end. The tracks always add up to the mix.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mtv_jax.audio.separation.base import ModelCard, Separator, check_finite
from mtv_jax.io.progress import progress

_FADE_SECONDS = 0.02


@dataclass(frozen=True)
class Separated:
    """Tracks (float32, shaped like the mix), each with the model that made it."""

    tracks: dict[str, np.ndarray]
    sample_rate: int
    cards: dict[str, ModelCard]


def separate(
    samples: np.ndarray, sample_rate: int, separator: Separator, *, end: int | None = None
) -> Separated:
    """Separates a mix held in memory.

    Args:
      samples: float32 [s] or [s, channels].
      sample_rate: Hz.
      separator: the method.
      end: number of samples to return; later ones serve as context only. None: all.

    Returns:
      Tracks with the shape of the mix (up to `end`), which add up to it.

    Raises:
      UserError: the separator's package or weights are missing, or samples are not finite.
    """
    mix = np.asarray(samples, np.float32)
    mix = mix[:, None] if mix.ndim == 1 else mix
    length = len(mix) if end is None else min(end, len(mix))
    pieces = separate_sections(lambda first, last: mix[first:last], sample_rate, separator)
    seconds, context = length / sample_rate, separator.context
    if seconds >= context.section + context.future:
        pieces = progress(pieces, "separating", num_sections(seconds, separator))
    tracks = {name: np.empty_like(mix[:length]) for name in separator.tracks}
    done = 0
    for piece in pieces:
        for name, track in piece.items():
            tracks[name][done : done + len(track)] = track[: length - done]
        done += len(piece[separator.tracks[0]])
        if done >= length:
            break
    tracks = {name: track.reshape(length, *np.shape(samples)[1:]) for name, track in tracks.items()}
    return Separated(tracks, sample_rate, dict(separator.cards()))


def num_sections(seconds: float, separator: Separator) -> int:
    """The number of pieces that `separate_sections` yields of so long a sound."""
    return max(1, math.ceil(seconds / separator.context.section))


def separate_sections(
    read: Callable[[int, int], np.ndarray], sample_rate: int, separator: Separator
) -> Iterator[dict[str, np.ndarray]]:
    """Separates a mix of any length piece by piece, in constant memory.

    Args:
      read: (first, last) -> samples [last - first, channels] of the mix, fewer only at its end.
      sample_rate: Hz.
      separator: the method.

    Yields:
      Track name -> float32 [s, channels], for consecutive pieces of `separator.context.section` seconds.

    Raises:
      UserError: the separator's package or weights are missing, or samples are not finite.
    """
    context = separator.context
    section, past, future, lead = (
        round(x * sample_rate) for x in (context.section, context.past, context.future, context.lead)
    )
    fade = round(_FADE_SECONDS * sample_rate)
    future = max(future, fade)
    rise = ((np.arange(fade, dtype=np.float32) + 0.5) / fade)[:, None]
    tails: dict[str, np.ndarray] = {}
    for first in itertools.count(0, section):
        begin, last = max(first - past, 0), first + section
        mix = np.asarray(read(begin, last + future), np.float32)
        ended = begin + len(mix) < last + future
        stop = len(mix) if ended else last - begin
        piece = {}
        before, behind = (lead if first == 0 else 0), (future if ended else 0)
        for name, track in _separate_padded(separator, mix, sample_rate, before, behind).items():
            piece[name] = track[first - begin : stop].copy()
            if name in tails:
                piece[name][:fade] = rise * piece[name][:fade] + (1 - rise) * tails[name]
            tails[name] = track[stop : stop + fade].copy()  # without the whole section behind it
        yield piece
        if ended:
            return


def _separate_padded(
    separator: Separator, mix: Float[np.ndarray, "_ c"], sample_rate: int, before: int, behind: int
) -> dict[str, np.ndarray]:
    """Tracks of a mix [s, channels], with a copy of its beginning before it and a mirror image after it as context."""
    if not len(mix):
        return {name: mix.copy() for name in separator.tracks}
    check_finite(mix)
    lead = np.resize(mix, (before, mix.shape[1])) if len(mix) < before else mix[:before]
    padded = np.pad(np.concatenate([lead, mix]), ((0, behind), (0, 0)), mode="symmetric")
    tracks = separator.separate(padded, sample_rate)
    return {name: track[before : before + len(mix)] for name, track in tracks.items()}
