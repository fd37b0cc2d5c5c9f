"""SyncSynth's lines of the table: are lips in time with the speech, beside clips that cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtv_jax.evaluation.statistics import bootstrap_of
from mtv_jax.evaluation.syncsynth.instrument import SyncSynth, agreements, sync_test
from mtv_jax.evaluation.theatre_suite import Figure
from mtv_jax.io.errors import UserError
from mtv_jax.theatre import TheatreClip, TheatreConfig
from mtv_jax.typing import TRACK_RATE

SYNC_CLAIM = "lips are in time with the speech (SyncSynth)"
SIGNIFICANT = 0.01
"""Of the p-value: a clip below it is in time."""
SHIFTS = (-3, -2, -1, 0, 1, 2, 3)
"""Frames by which pictures may be late, for the sweep."""


@dataclass(frozen=True)
class Heard:
    """A clip's index, and embeddings [T, d] of its pictures as they are and frozen, and of its speech."""

    clip: int
    seen: np.ndarray
    frozen: np.ndarray
    own: np.ndarray


def hear_clip(instrument: SyncSynth, clip: TheatreClip, frames: np.ndarray) -> Heard:
    """What the instrument makes of frames [F H W 3] in 0..255, shown for a clip whose speaker they should follow.

    Raises UserError for a clip without a speaker, and as `SyncSynth.watch`.
    """
    if clip.plan.speaker is None:
        raise UserError(f"clip {clip.plan.index}: nobody speaks")
    place, fps = clip.plan.actors[clip.plan.speaker].place, clip.plan.config.fps
    still = np.repeat(frames[:1], len(frames), axis=0)
    seen, frozen = (instrument.watch(pictures, place, fps) for pictures in (frames, still))
    own = instrument.hear(clip.tracks["speech"], len(frames), fps)
    return Heard(clip.plan.index, seen, frozen, own)


def hear_others(instrument: SyncSynth, config: TheatreConfig, waves: Sequence[np.ndarray]) -> np.ndarray:
    """Embeddings [n, T, d] of speech for the permutation null (`other_speech`), as long as the theatre's clips.

    Raises UserError if there is none, or some is shorter.
    """
    samples = round(config.num_frames * TRACK_RATE / config.fps)
    if not waves or any(len(wave) < samples for wave in waves):
        raise UserError(f"speech for the null: must be there, and of at least {samples} samples each")
    return np.stack([instrument.hear(wave, config.num_frames, config.fps) for wave in waves])


def sync_figures(heard: Sequence[Heard], others: np.ndarray, unspoken: Sequence[Heard] = ()) -> list[Figure]:
    """Shares of clips with p < 0.01, of their controls, and mean confidence by shift; [] of no clips.

    Args:
      heard: `hear_clip` of each clip where someone speaks, of one length and rate; a clip may be there many times,
        once for each noise, if all are before it is there again.
      others: `hear_others`, none of it of these clips.
      unspoken: `hear_clip` of the same clips, of pictures that were made without the speech.

    Controls are the first frame repeated (which no picture can fail), the next clip's speech, and what else moves
    when nobody speaks; none may be significant more often than chance and its noise (0.05). Raises UserError for
    clips of different lengths.
    """
    if not heard:
        return []
    if len({case.own.shape for case in heard} | {others.shape[1:]}) > 1:
        raise UserError("clips of different lengths or rates: SyncSynth's figures need them alike")
    groups = [case.clip for case in heard]
    own = [sync_test(case.seen, case.own, others) for case in heard]
    frozen = [sync_test(case.frozen, case.own, others) for case in heard]
    rows = [
        _share("p < 0.01", own, groups, 0.95),
        _share("control: frozen, p < 0.01", frozen, groups, 0.05, at_most=True),
    ]
    if len(set(groups)) > 1:
        pairs = zip(heard, [*heard[1:], heard[0]], strict=True)
        swapped = [sync_test(case.seen, other.own, others) for case, other in pairs]
        name = "control: another clip's speech, p < 0.01"
        rows.append(_share(name, swapped, groups, 0.05, at_most=True))
    if unspoken:
        moved = [sync_test(case.seen, case.own, others) for case in unspoken]
        name, clips = "control: made without speech, p < 0.01", [case.clip for case in unspoken]
        rows.append(_share(name, moved, clips, 0.05, at_most=True))
    return rows + [_confidence(heard, groups, shift) for shift in SHIFTS]


def _share(
    name: str, values: list[float], groups: list[int], target: float, *, at_most: bool = False
) -> Figure:
    return _mean(name, [float(p < SIGNIFICANT) for p in values], groups, target, at_most)


def _confidence(heard: Sequence[Heard], groups: list[int], shift: int) -> Figure:
    values = [float(agreements(case.seen, case.own[None], shift)[0]) for case in heard]
    name = f"mean confidence, pictures {shift:+d} frames late" if shift else "mean confidence"
    return _mean(name, values, groups)


def _mean(
    name: str, values: list[float], groups: list[int], target: float | None = None, at_most: bool = False
) -> Figure:
    numbers = np.array(values)
    interval = bootstrap_of(lambda picks: float(numbers[picks].mean()), groups)
    return Figure(SYNC_CLAIM, name, float(numbers.mean()), interval, len(set(groups)), target, at_most)
