"""The theatre suite on a generator: fresh clips, every variant under every noise, and figures beside their ceilings.

What generates and what the autoencoder does are passed in as functions, so that nothing here knows a network.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mtv_jax.data.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, render_clip
from mtv_jax.evaluation.syncsynth import load_syncsynth, other_speech, sync_figures
from mtv_jax.evaluation.theatre_cases import Case, Sample, performed, see, variants
from mtv_jax.evaluation.theatre_readers import Readers
from mtv_jax.evaluation.theatre_suite import Figure, figures
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress

Show = Callable[[Sequence[Case]], Iterable[np.ndarray]]
"""Frames uint8 [F H W 3] of each case, in order."""
Reconstruct = Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]]
"""Videos uint8 [F H W 3] through an autoencoder and back, in order."""

_SEEDS = 2**31
"""Theatres that may be measured on. As many behind them are SyncSynth's null; then come those readers are fitted on."""


@dataclass(frozen=True)
class Run:
    """What to measure on.

    Attributes:
      stage: size and length of the clips.
      clips: how many.
      seeds: noises each variant of a clip is generated from: `seed`, `seed` + 1 and so on.
      seed: of the clips, counted from where training's seeds end.
      shown: of how many clips the frames are kept.
    """

    stage: TheatreConfig
    clips: int = 200
    seeds: int = 3
    seed: int = 0
    shown: int = 8

    def __post_init__(self):
        for name in ("clips", "seeds"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)}: must be at least 1")
        if not 0 <= self.seed < _SEEDS:
            raise UserError(f"seed {self.seed}: must be in 0..2**31 - 1")


@dataclass(frozen=True)
class Row:
    """A figure of what was generated, and its value for the theatre's own frames, before and after the autoencoder."""

    figure: Figure
    ground_truth: float | None
    autoencoder: float | None

    def to_json(self) -> dict[str, Any]:
        """The figure's fields and the ceilings."""
        return self.figure.to_json() | {"ground_truth": self.ground_truth, "autoencoder": self.autoencoder}


@dataclass(frozen=True)
class Outcome:
    """The table, and the first clips with what was generated for them from the first noise, uint8 [F H W 3] each."""

    rows: list[Row]
    clips: list[TheatreClip]
    frames: list[np.ndarray]


def measure(run: Run, readers: Readers, generate: Show, reconstruct: Reconstruct) -> Outcome:
    """Generates and reads everything; shows progress of what takes long here (the functions show their own)."""
    clips = evaluation_clips(run)
    seeds = range(run.seed, run.seed + run.seeds)
    in_time = _in_time(run, clips)

    def table(noises: Sequence[int], show: Show) -> tuple[list[Figure], list[np.ndarray]]:
        samples, frames = watch(readers, clips, noises, show)
        return figures(clips * len(noises), samples) + in_time(frames), frames

    found, frames = table(seeds, generate)
    truth, _ = table([0], lambda cases: _perform(cases, "reading the ground truth"))
    coded, _ = table([0], lambda cases: reconstruct(_perform(cases, "reading through the autoencoder")))
    return Outcome(_beside(found, truth, coded), clips[: run.shown], frames[: run.shown])


def evaluation_clips(run: Run) -> list[TheatreClip]:
    """The clips, of seeds that training never reaches. Without their frames, which the cases render again."""
    clips = []
    for index in progress(run.clips, "rendering clips"):
        clip = render_clip(EVALUATION_SEEDS + run.seed, index, run.stage)
        clips.append(replace(clip, frames=clip.frames[:0].copy()))
    return clips


def watch(
    readers: Readers, clips: Sequence[TheatreClip], seeds: Iterable[int], show: Show
) -> tuple[list[Sample], list[np.ndarray]]:
    """What is seen of all clips under the first noise, then of all under the next; and the videos.

    The videos are of the clips as they are (`own`), under the first noise.
    """
    cases = [item for seed in seeds for found in variants(clips, seed) for item in found.items()]
    samples: list[Sample] = []
    kept = []
    for (name, case), frames in zip(cases, show([case for _, case in cases]), strict=True):
        if name == "own":  # the first of a clip's variants
            samples.append({})
            if len(kept) < len(clips):
                kept.append(frames)
        samples[-1][name] = see(readers, case, frames)
    return samples, kept


def _in_time(run: Run, clips: Sequence[TheatreClip]) -> Callable[[Sequence[np.ndarray]], list[Figure]]:
    """SyncSynth's figures of the clips' videos; none at rates or lengths that it does not know."""
    instrument, stage = load_syncsynth(), run.stage
    if not instrument.knows(stage.num_frames, stage.fps):
        return lambda _frames: []
    # Of another theatre, so that the null holds no speech of the clips.
    others = other_speech(EVALUATION_SEEDS + _SEEDS + run.seed, config=stage)
    return lambda frames: sync_figures(instrument, clips, frames, others)


def _perform(cases: Sequence[Case], told: str) -> Iterator[np.ndarray]:
    return (performed(case) for case in progress(cases, told))


def _beside(found: list[Figure], truth: list[Figure], coded: list[Figure]) -> list[Row]:
    ceilings = [{(row.claim, row.name): row.value for row in rows} for rows in (truth, coded)]
    return [Row(row, *(values[row.claim, row.name] for values in ceilings)) for row in found]
