"""SyncSynth's lines of the table: are lips in time with the speech, beside clips that cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtv_jax.data.theatre import TheatreClip
from mtv_jax.evaluation.statistics import bootstrap
from mtv_jax.evaluation.syncsynth.instrument import SyncSynth, agreements, sync_test
from mtv_jax.evaluation.theatre_suite import Figure
from mtv_jax.io.errors import UserError

CLAIM = "lips are in time with the speech (SyncSynth)"
SIGNIFICANT = 0.01
"""Of the p-value: a clip below it is in time."""
SHIFTS = (-3, -2, -1, 0, 1, 2, 3)
"""Frames by which pictures may be late, for the sweep."""


@dataclass(frozen=True)
class _Heard:
    """Embeddings of a clip: pictures as they are and frozen, own speech [T, d] each, and others' [n, T, d]."""

    seen: np.ndarray
    frozen: np.ndarray
    own: np.ndarray
    others: np.ndarray


def sync_figures(
    instrument: SyncSynth,
    clips: Sequence[TheatreClip],
    frames: Sequence[np.ndarray],
    others: Sequence[np.ndarray],
) -> list[Figure]:
    """Shares of clips with p < 0.01, of their controls, and mean confidence by shift; [] if nobody speaks.

    Args:
      instrument: `load_syncsynth()`.
      clips: whose speech it is and where the speaker is; those without a speaker are left out.
      frames: what is shown for each clip, [F H W 3] in 0..255.
      others: speech for the permutation null (`other_speech`), none of it of `clips`.

    Controls are the first frame repeated, and the next clip's speech; neither may be significant more often than
    chance and its noise (0.05). Raises UserError for clips or speech of different lengths, and as `SyncSynth.watch`.
    """
    spoken = [(c, f) for c, f in zip(clips, frames, strict=True) if c.plan.speaker is not None]
    if not spoken:
        return []
    cases = _perceive(instrument, spoken, others)
    own = [sync_test(case.seen, case.own, case.others) for case in cases]
    frozen = [sync_test(case.frozen, case.own, case.others) for case in cases]
    rows = [_share("p < 0.01", own, 0.95), _share("control: frozen, p < 0.01", frozen, 0.05, at_most=True)]
    if len(cases) > 1:
        pairs = zip(cases, [*cases[1:], cases[0]], strict=True)
        swapped = [sync_test(case.seen, other.own, case.others) for case, other in pairs]
        rows.append(_share("control: another clip's speech, p < 0.01", swapped, 0.05, at_most=True))
    return rows + [_confidence(cases, shift) for shift in SHIFTS]


def _perceive(
    instrument: SyncSynth, spoken: list[tuple[TheatreClip, np.ndarray]], others: Sequence[np.ndarray]
) -> list[_Heard]:
    fps, length = spoken[0][0].plan.config.fps, len(spoken[0][1])
    if any(len(f) != length or c.plan.config.fps != fps for c, f in spoken):
        raise UserError("clips of different lengths or rates: SyncSynth's figures need them alike")
    samples = len(spoken[0][0].tracks["speech"])
    if not others or any(len(wave) < samples for wave in others):
        raise UserError(f"speech for the null: must be there, and of at least {samples} samples each")
    null = np.stack([instrument.hear(wave, length, fps) for wave in others])
    cases = []
    for clip, shown in spoken:
        assert clip.plan.speaker is not None
        place = clip.plan.actors[clip.plan.speaker].place
        still = np.repeat(shown[:1], length, axis=0)
        seen, frozen = (instrument.watch(pictures, place, fps) for pictures in (shown, still))
        cases.append(_Heard(seen, frozen, instrument.hear(clip.tracks["speech"], length, fps), null))
    return cases


def _share(name: str, values: list[float], target: float, *, at_most: bool = False) -> Figure:
    passed = [float(p < SIGNIFICANT) for p in values]
    return Figure(CLAIM, name, float(np.mean(passed)), bootstrap(passed), len(passed), target, at_most)


def _confidence(cases: list[_Heard], shift: int) -> Figure:
    values = [float(agreements(case.seen, case.own[None], shift)[0]) for case in cases]
    name = f"mean confidence, pictures {shift:+d} frames late" if shift else "mean confidence"
    return Figure(CLAIM, name, float(np.mean(values)), bootstrap(values), len(values))
