"""The theatre suite on a generator: fresh clips, every variant from every noise, and figures with their ceilings.

What generates frames and what the autoencoder does are passed in as functions, so that nothing here depends on a
network.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mtv_jax.evaluation.metrics.base import measured
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.evaluation.syncsynth import (
    Heard,
    SyncSynth,
    hear_clip,
    hear_others,
    load_syncsynth,
    other_speech,
    sync_metric,
)
from mtv_jax.evaluation.theatre.cases import Case, Sample, performed, see, variants
from mtv_jax.evaluation.theatre.readers import Readers
from mtv_jax.evaluation.theatre.suite import figures
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress
from mtv_jax.theatre import EVALUATION_SEEDS, Recordings, TheatreClip, TheatreConfig, render_clip

Show = Callable[[Sequence[Case]], Iterable[np.ndarray]]
"""Frames uint8 [F H W 3] of each case, in order."""
Reconstruct = Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]]
"""Videos uint8 [F H W 3] through an autoencoder and back, in order."""

_SEEDS = 2**31
"""Number of theatres that may be measured on. As many after them give SyncSynth's null; then come the theatres that
readers are fitted on."""


@dataclass(frozen=True)
class Run:
    """What to measure on.

    Attributes:
      stage: size and length of the clips.
      clips: number of clips.
      seeds: number of noises that each variant of a clip is generated from: `seed`, `seed` + 1 and so on.
      seed: of the clips, counted from the end of training's seeds.
      shown: number of clips whose frames are kept.
      recordings: real sounds that replace the theatre's own where there are any.
    """

    stage: TheatreConfig
    clips: int = 200
    seeds: int = 3
    seed: int = 0
    shown: int = 8
    recordings: Recordings | None = None

    def __post_init__(self):
        for name in ("clips", "seeds"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)}: must be at least 1")
        if not 0 <= self.seed < _SEEDS:
            raise UserError(f"seed {self.seed}: must be in 0..2**31 - 1")


@dataclass(frozen=True)
class Outcome:
    """The figures, and the first clips with what was generated for them from the first noise, uint8 [F H W 3] each.

    The baselines of the figures are those of the theatre's own frames, before and after the autoencoder.
    """

    figures: list[Figure]
    clips: list[TheatreClip]
    frames: list[np.ndarray]


def measure(run: Run, readers: Readers, generate: Show, reconstruct: Reconstruct) -> Outcome:
    """Generates and reads everything; shows the progress of what takes long here (the functions show their own)."""
    clips, sync = evaluation_clips(run), _sync(run)

    def table(noises: Sequence[int], show: Show) -> tuple[list[Figure], list[np.ndarray]]:
        shown: list[np.ndarray] = []
        heard: list[Heard] = []

        def look(variant: str, case: Case, frames: np.ndarray) -> None:
            # Frames of all other videos are dropped: at full size they would not fit into memory.
            if variant == "own" and case.clip.plan.index < run.shown:
                shown.append(frames)
            if sync and variant in ("own", "silent_speech") and case.clip.plan.speakers:
                spoken = variant == "own"
                heard.append(hear_clip(sync.instrument, case.clip, frames, seed=case.seed, spoken=spoken))

        found = figures(watch(readers, clips, noises, show, look))
        return found + (measured(sync_metric(sync.null), heard) if sync else []), shown

    found, frames = table(range(run.seed, run.seed + run.seeds), generate)
    truth, _ = table([0], lambda cases: _perform(cases, "reading the ground truth"))
    coded, _ = table([0], lambda cases: reconstruct(_perform(cases, "reading through the autoencoder")))
    return Outcome(
        _with_baselines(found, {"theatre": truth, "autoencoder": coded}),
        clips[: run.shown],
        frames[: run.shown],
    )


def evaluation_clips(run: Run) -> list[TheatreClip]:
    """The clips, from seeds that training never uses; without their frames, which the cases render again."""
    clips = []
    for index in progress(run.clips, "rendering clips"):
        clip = render_clip(EVALUATION_SEEDS + run.seed, index, run.stage, run.recordings)
        clips.append(replace(clip, frames=clip.frames[:0].copy()))
    return clips


def watch(
    readers: Readers,
    clips: Sequence[TheatreClip],
    seeds: Iterable[int],
    show: Show,
    look: Callable[[str, Case, np.ndarray], None] = lambda _variant, _case, _frames: None,
) -> list[Sample]:
    """Reads all clips generated from the first noise, then all from the next.

    `look` is called with each variant's name, its case and frames uint8 [F H W 3], in the same order.
    """
    cases = [item for seed in seeds for found in variants(clips, seed) for item in found.items()]
    samples: list[Sample] = []
    for (name, case), frames in zip(cases, show([case for _, case in cases]), strict=True):
        if name == "own":  # the first of a clip's variants
            samples.append({})
        samples[-1][name] = see(readers, case, frames)
        look(name, case, frames)
    return samples


class _Sync(NamedTuple):
    """SyncSynth, and embeddings [n, T, d] of the speech that a clip's own is compared with."""

    instrument: SyncSynth
    null: np.ndarray


def _sync(run: Run) -> _Sync | None:
    """None at rates or lengths that SyncSynth cannot measure, and with recordings: the null needs many real voices."""
    instrument, stage = load_syncsynth(), run.stage
    if run.recordings is not None or not instrument.knows(stage.num_frames, stage.fps):
        return None
    # Of another theatre, so that the null holds no speech of the clips.
    waves = other_speech(EVALUATION_SEEDS + _SEEDS + run.seed, stage)
    return _Sync(instrument, hear_others(instrument, stage, waves))


def _perform(cases: Sequence[Case], description: str) -> Iterator[np.ndarray]:
    return (performed(case) for case in progress(cases, description))


def _with_baselines(found: Sequence[Figure], baselines: Mapping[str, Sequence[Figure]]) -> list[Figure]:
    values = {name: {figure.id: figure.value for figure in others} for name, others in baselines.items()}
    return [
        replace(figure, baselines={name: others[figure.id] for name, others in values.items()})
        for figure in found
    ]
