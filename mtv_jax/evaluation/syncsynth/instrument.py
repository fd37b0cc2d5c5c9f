"""SyncSynth as an instrument: how well a mouth moves in time with a sound, and whether chance explains it.

The confidence of a clip is `agreement` over time at shift 0. Its p-value is by permutation: how many sounds of other
clips agree with the same pictures at least as well.
"""

import dataclasses
import functools
import importlib.resources
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mtv_jax.evaluation.syncsynth.faces import face_pictures
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object, write_json
from mtv_jax.models.syncsynth import CONTEXT, SyncSynthConfig, SyncTowers, agreement, sound_levels
from mtv_jax.theatre import TheatreConfig, plan_clip, render_tracks
from mtv_jax.theatre.plan import Place
from mtv_jax.typing import Array
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.pretrained import load_model, save_model

NULLS = 199
"""Sounds of other clips that a clip's own is compared with: the least p-value is 1 / 200."""
FIT_RECORD = "fit.json"
"""Beside the weights: how they were made."""


@dataclasses.dataclass(frozen=True)
class SyncSynth:
    """The fitted network. Pictures must be at `fps`; sound is mono at 16 kHz.

    Attributes:
      params: of `SyncTowers(config)`.
      fit: how it was made, as `fit.json` records it.
    """

    config: SyncSynthConfig
    params: Mapping[str, Any]
    fit: Mapping[str, Any]

    @property
    def fps(self) -> Fraction:
        """The only rate of pictures that can be measured."""
        return Fraction(self.config.fps)

    def watch(self, frames: np.ndarray, place: Place, fps: float | Fraction) -> np.ndarray:
        """Embeddings [T, d] of the head at `place` (stage units) in frames [F H W 3] of 0..255.

        T = F - CONTEXT. Raises UserError for a rate other than `self.fps`, and for fewer than 2 + CONTEXT frames.
        """
        self._check(len(frames), fps)
        return np.asarray(_watch(self.config, self.params, face_pictures(frames, place)))

    def hear(self, wave: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        """Embeddings [T, d] of the sound [s] of so many frames. Raises UserError as `watch` does."""
        self._check(num_frames, fps)
        levels = sound_levels(wave, num_frames, fps)
        return np.asarray(_hear(self.config, self.params, levels))

    def confidence(self, frames: np.ndarray, place: Place, wave: np.ndarray, fps: float | Fraction) -> float:
        """Agreement of pictures and sound in -1..1; 0 if either does not change. Raises UserError as `watch` does."""
        seen, heard = self.watch(frames, place, fps), self.hear(wave, len(frames), fps)
        return float(agreements(seen, heard[None])[0])

    def knows(self, num_frames: int, fps: float | Fraction) -> bool:
        """Whether clips of that length and rate can be measured."""
        return self._same_rate(fps) and num_frames >= 2 + CONTEXT

    def _same_rate(self, fps: float | Fraction) -> bool:
        return abs(float(fps) - float(self.fps)) <= 1e-6

    def _check(self, num_frames: int, fps: float | Fraction) -> None:
        if not self._same_rate(fps):
            raise UserError(f"{float(fps):g} fps: SyncSynth works at {float(self.fps):g} fps only")
        if num_frames < 2 + CONTEXT:
            raise UserError(f"{num_frames} frames: SyncSynth needs at least {2 + CONTEXT}")


def agreements(seen: np.ndarray, heard: np.ndarray, shift: int = 0) -> np.ndarray:
    """`agreement` of one clip's pictures [T, d] with many sounds [n, T, d]: [n].

    Raises UserError for a shift that leaves fewer than two embeddings.
    """
    if len(seen) - abs(shift) < 2:
        raise UserError(f"shift {shift}: leaves fewer than two of {len(seen)} embeddings")
    return np.asarray(_agreements(seen, heard, shift))


def sync_test(seen: np.ndarray, own: np.ndarray, others: np.ndarray, shift: int = 0) -> float:
    """Permutation p-value of a clip's own sound: (1 + others that agree at least as well) / (1 + others).

    Args:
      seen, own: embeddings [T, d] of the pictures and of the clip's own sound.
      others: embeddings [n, T, d] of the sounds of other clips.
      shift: frames by which the pictures are taken to be late, for all sounds.

    Returns 1 if the pictures do not change (every sound agrees equally), or if the clip's own sound does not.
    """
    scores = agreements(seen, np.concatenate([own[None], others]), shift)
    # A side that does not change scores exactly 0, which would rank in the middle of a null around 0.
    if scores[0] == 0:
        return 1.0
    return float((1 + np.sum(scores[1:] >= scores[0])) / len(scores))


def other_speech(seed: int, config: TheatreConfig | None = None) -> list[np.ndarray]:
    """Speech of the first `NULLS` clips of theatre `seed` that have a speaker (the first one's), float32 [s] each.

    `seed` must differ from that of the clips to be tested. Raises UserError if too few clips have a speaker.
    """
    waves: list[np.ndarray] = []
    for index in range(100 * NULLS):
        plan = plan_clip(seed, index, config)
        if plan.voices:
            tracks = render_tracks(dataclasses.replace(plan, prop=None, mood=None))
            waves.append(tracks[next(iter(plan.voices))])
        if len(waves) == NULLS:
            return waves
    raise UserError(f"theatre {seed}: fewer than {NULLS} clips in {100 * NULLS} have a speaker")


def save_syncsynth(directory: Path, instrument: SyncSynth) -> None:
    """Writes the network (float16) as `load_model` reads it, and the record of its fit beside it."""
    save_model(directory, SyncTowers(instrument.config), dict(instrument.params), dtype=np.float16)
    write_json(directory / FIT_RECORD, dict(instrument.fit))


def bundled() -> Path:
    """The folder of the fitted network."""
    return Path(str(importlib.resources.files("mtv_jax.assets"))) / "syncsynth"


def load_syncsynth(directory: Path | None = None) -> SyncSynth:
    """The instrument in a folder; default: the bundled one. Raises UserError if files are missing or do not fit."""
    directory = directory or bundled()
    model, params = load_model(directory)
    if not isinstance(model, SyncTowers):
        raise UserError(f"{directory / CONFIG_FILE}: is not SyncSynth's but {type(model).__name__}'s")
    return SyncSynth(model.config, params, read_json_object(directory / FIT_RECORD))


@functools.partial(jax.jit, static_argnums=0)
def _watch(config: SyncSynthConfig, params: Any, pictures: Array) -> Array:
    return SyncTowers(config).apply(params, pictures[None], method="watch")[0]


@functools.partial(jax.jit, static_argnums=0)
def _hear(config: SyncSynthConfig, params: Any, levels: Array) -> Array:
    return SyncTowers(config).apply(params, levels[None], method="hear")[0]


@functools.partial(jax.jit, static_argnums=2)
def _agreements(seen: Array, heard: Array, shift: int) -> Array:
    return agreement(seen[None], heard, shift)
