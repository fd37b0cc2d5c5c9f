"""The theatre suite on a generator: fresh clips, every variant under every noise, and figures beside their ceilings.

What generates and what the autoencoder does are passed in as functions, so that nothing here knows a network.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mtv_jax.evaluation.syncsynth import (
    Heard,
    SyncSynth,
    hear_clip,
    hear_others,
    load_syncsynth,
    other_speech,
    sync_figures,
)
from mtv_jax.evaluation.theatre_cases import Case, Sample, performed, see, variants
from mtv_jax.evaluation.theatre_readers import Readers
from mtv_jax.evaluation.theatre_suite import Figure, figures
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress
from mtv_jax.theatre import EVALUATION_SEEDS, Recordings, TheatreClip, TheatreConfig, render_clip

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
      recordings: real sounds in place of the theatre's own, where they have some.
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
    clips, sync = evaluation_clips(run), _sync(run)

    def table(noises: Sequence[int], show: Show) -> tuple[list[Figure], list[np.ndarray]]:
        shown: list[np.ndarray] = []
        heard: dict[str, list[Heard]] = {"own": [], "silent_speech": []}

        def look(variant: str, clip: TheatreClip, frames: np.ndarray) -> None:
            # Of all other videos nothing is kept: at full size they would not fit.
            if variant == "own" and clip.plan.index < run.shown:
                shown.append(frames)
            if sync and variant in heard and clip.plan.speaker is not None:
                heard[variant].append(hear_clip(sync.instrument, clip, frames))

        rows = figures(clips * len(noises), watch(readers, clips, noises, show, look))
        return rows + (sync_figures(heard["own"], sync.null, heard["silent_speech"]) if sync else []), shown

    found, frames = table(range(run.seed, run.seed + run.seeds), generate)
    truth, _ = table([0], lambda cases: _perform(cases, "reading the ground truth"))
    coded, _ = table([0], lambda cases: reconstruct(_perform(cases, "reading through the autoencoder")))
    return Outcome(_beside(found, truth, coded), clips[: run.shown], frames[: run.shown])


def evaluation_clips(run: Run) -> list[TheatreClip]:
    """The clips, of seeds that training never reaches. Without their frames, which the cases render again."""
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
    look: Callable[[str, TheatreClip, np.ndarray], None] = lambda _variant, _clip, _frames: None,
) -> list[Sample]:
    """What is seen of all clips under the first noise, then of all under the next.

    `look` is called with each variant's name, its clip and frames uint8 [F H W 3], in the same order.
    """
    cases = [item for seed in seeds for found in variants(clips, seed) for item in found.items()]
    samples: list[Sample] = []
    for (name, case), frames in zip(cases, show([case for _, case in cases]), strict=True):
        if name == "own":  # the first of a clip's variants
            samples.append({})
        samples[-1][name] = see(readers, case, frames)
        look(name, case.clip, frames)
    return samples


class _Sync(NamedTuple):
    """SyncSynth, and embeddings [n, T, d] of the speech that a clip's own is held against."""

    instrument: SyncSynth
    null: np.ndarray


def _sync(run: Run) -> _Sync | None:
    """None at rates or lengths that SyncSynth does not know, and of recordings: a null needs as many real voices."""
    instrument, stage = load_syncsynth(), run.stage
    if run.recordings is not None or not instrument.knows(stage.num_frames, stage.fps):
        return None
    # Of another theatre, so that the null holds no speech of the clips.
    waves = other_speech(EVALUATION_SEEDS + _SEEDS + run.seed, config=stage)
    return _Sync(instrument, hear_others(instrument, stage, waves))


def _perform(cases: Sequence[Case], told: str) -> Iterator[np.ndarray]:
    return (performed(case) for case in progress(cases, told))


def _beside(found: list[Figure], truth: list[Figure], coded: list[Figure]) -> list[Row]:
    ceilings = [{(row.claim, row.name): row.value for row in rows} for rows in (truth, coded)]
    return [Row(row, *(values[row.claim, row.name] for values in ceilings)) for row in found]
