"""SyncSynth's figures: are lips in time with the speech, compared with clips where they cannot be?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mtv_jax.evaluation.metrics.base import RowMetric, mean_figure
from mtv_jax.evaluation.report.claims import SYNC_SHIFTS, sync_confidence
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.evaluation.syncsynth.instrument import SyncSynth, agreements, sync_test
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre import TheatreClip, TheatreConfig

SIGNIFICANT = 0.01
"""A clip whose p-value is below this is in time."""


@dataclass(frozen=True)
class Heard:
    """Embeddings of a clip, each [T, d].

    Attributes:
      clip: its index.
      seen: of its pictures.
      frozen: of its first picture, repeated.
      own: of its speech.
      seed: of the noise that the pictures were generated from.
      spoken: whether they were generated from the speech, rather than without it.
    """

    clip: int
    seen: np.ndarray
    frozen: np.ndarray
    own: np.ndarray
    seed: int = 0
    spoken: bool = True


def hear_clip(
    instrument: SyncSynth, clip: TheatreClip, frames: np.ndarray, *, seed: int = 0, spoken: bool = True
) -> Heard:
    """Embeds frames [F H W 3] in 0..255, generated for a clip, and the speech of its first speaker.

    Raises UserError for a clip without a speaker, and as `SyncSynth.watch` does.
    """
    if not clip.plan.voices:
        raise UserError(f"clip {clip.plan.index}: nobody speaks")
    track, speaker = next(iter(clip.plan.voices.items()))
    place, fps = clip.plan.actors[speaker].place, clip.plan.config.fps
    still = np.repeat(frames[:1], len(frames), axis=0)
    seen, frozen = (instrument.watch(pictures, place, fps) for pictures in (frames, still))
    own = instrument.hear(clip.tracks[track], len(frames), fps)
    return Heard(clip.plan.index, seen, frozen, own, seed, spoken)


def hear_others(instrument: SyncSynth, config: TheatreConfig, waves: Sequence[np.ndarray]) -> np.ndarray:
    """Embeddings [n, T, d] of speech for the permutation null (`other_speech`), as long as the theatre's clips.

    Raises UserError if there is none, or if any of it is shorter.
    """
    samples = round(config.num_frames * TRACK_RATE / config.fps)
    if not waves or any(len(wave) < samples for wave in waves):
        raise UserError(
            f"speech for the null: at least one wave is needed, of at least {samples} samples each"
        )
    return np.stack([instrument.hear(wave, config.num_frames, config.fps) for wave in waves])


def sync_metric(others: np.ndarray) -> RowMetric[Heard, Heard]:
    """The metric of clips with a speaker, all of one length and rate.

    Its figures are the share of clips with p < 0.01, that of the controls, and the mean confidence by shift. The
    controls are the first frame repeated (which cannot fail whatever the pictures), the next clip's speech, and
    pictures generated without the speech. None of them may be significant more often than chance and its noise
    allow (0.05). Computing them raises UserError for clips of different lengths.

    Args:
      others: `hear_others`; none of it may be speech of the clips.
    """
    return RowMetric(
        lambda heard: (not heard.spoken, heard.seed, heard.clip),
        lambda heard: heard,
        partial(_figures, others),
    )


def _figures(others: np.ndarray, rows: Sequence[Heard]) -> list[Figure]:
    heard, unspoken = [row for row in rows if row.spoken], [row for row in rows if not row.spoken]
    if not heard:
        return []
    if len({case.own.shape for case in rows} | {others.shape[1:]}) > 1:
        raise UserError("clips of different lengths or rates: SyncSynth's figures need them alike")

    pairs = {
        "sync.significant": [(case.clip, case.seen, case.own) for case in heard],
        "sync.frozen": [(case.clip, case.frozen, case.own) for case in heard],
        "sync.other_speech": _next_speech(heard),
        "sync.without_speech": [(case.clip, case.seen, case.own) for case in unspoken],
    }
    found = [figure for identifier, cases in pairs.items() for figure in _share(identifier, cases, others)]
    return found + [figure for shift in SYNC_SHIFTS for figure in _confidence(heard, shift)]


def _next_speech(heard: Sequence[Heard]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Each clip's pictures with the next clip's speech; none if there is no other clip."""
    if len({case.clip for case in heard}) < 2:
        return []
    following = [*heard[1:], heard[0]]
    return [(case.clip, case.seen, other.own) for case, other in zip(heard, following, strict=True)]


def _share(
    identifier: str, cases: Sequence[tuple[int, np.ndarray, np.ndarray]], others: np.ndarray
) -> list[Figure]:
    """The share of (clip, seen, own) cases that are in time."""
    return mean_figure(
        identifier,
        [(clip, float(sync_test(seen, own, others) < SIGNIFICANT)) for clip, seen, own in cases],
    )


def _confidence(heard: Sequence[Heard], shift: int) -> list[Figure]:
    values = [(case.clip, float(agreements(case.seen, case.own[None], shift)[0])) for case in heard]
    return mean_figure(sync_confidence(shift), values)
