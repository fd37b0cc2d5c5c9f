"""SyncSynth as an instrument: how much a mouth moves in time with a sound, and whether that could be chance.

The confidence of a clip is `agreement` over time at shift 0. Its p-value is by permutation: how many sounds of other
clips agree with the same pictures at least as well.
"""

import dataclasses
import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mtv_jax.evaluation.syncsynth.features import face_pictures, sound_levels
from mtv_jax.evaluation.syncsynth.model import (
    CONTEXT,
    SyncSynthConfig,
    SyncTowers,
    agreement,
    parameter_shapes,
)
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object, write_json
from mtv_jax.theatre import TheatreConfig, plan_clip, render_tracks
from mtv_jax.theatre.plan import Place
from mtv_jax.typing import Array
from mtv_jax.weights.rules import flat_paths, from_flat_paths
from mtv_jax.weights.tensor_files import read_tensors, write_tensors

NULLS = 199
"""Sounds of other clips that a clip's own is held against: the least p-value is 1 / 200."""


@dataclasses.dataclass(frozen=True)
class SyncSynth:
    """The fitted network. `fps` is the only rate of pictures that it knows; sound is mono at 16 kHz.

    Attributes:
      params: of `SyncTowers(config)`.
      fit: how it was made, as `config.json` has it.
    """

    config: SyncSynthConfig
    params: Mapping[str, Any]
    fps: Fraction
    fit: Mapping[str, Any]

    def watch(self, frames: np.ndarray, place: Place, fps: float | Fraction) -> np.ndarray:
        """Embeddings [T, d] of the head at `place` (stage units) in frames [F H W 3] of 0..255.

        T = F - CONTEXT. Raises UserError for another rate than `self.fps`, or fewer than 2 + CONTEXT frames.
        """
        self._check(len(frames), fps)
        return np.asarray(_watch(self.config, self.params, face_pictures(frames, place)))

    def hear(self, wave: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        """Embeddings [T, d] of the sound [s] of so many frames. Raises UserError as `watch` does."""
        self._check(num_frames, fps)
        levels = sound_levels(wave, num_frames, fps)
        return np.asarray(_hear(self.config, self.params, levels))

    def confidence(
        self,
        frames: np.ndarray,
        place: Place,
        wave: np.ndarray,
        fps: float | Fraction,
        shifts: Sequence[int] = (0,),
    ) -> dict[int, float]:
        """By shift (frames by which the pictures are late), how well both agree, -1..1; of stillness or silence 0.

        Raises UserError as `watch` does, and for shifts that leave fewer than two embeddings.
        """
        seen, heard = self.watch(frames, place, fps), self.hear(wave, len(frames), fps)
        return {shift: float(agreements(seen, heard[None], shift)[0]) for shift in shifts}

    def knows(self, num_frames: int, fps: float | Fraction) -> bool:
        """Whether clips of that length and rate can be measured."""
        return self._same_rate(fps) and num_frames >= 2 + CONTEXT

    def _same_rate(self, fps: float | Fraction) -> bool:
        return abs(float(fps) - float(self.fps)) <= 1e-6

    def _check(self, num_frames: int, fps: float | Fraction) -> None:
        if not self._same_rate(fps):
            raise UserError(f"{float(fps):g} fps: SyncSynth was made for {float(self.fps):g} fps alone")
        if num_frames < 2 + CONTEXT:
            raise UserError(f"{num_frames} frames: SyncSynth needs at least {2 + CONTEXT}")


def agreements(seen: np.ndarray, heard: np.ndarray, shift: int = 0) -> np.ndarray:
    """`model.agreement` of one clip's pictures [T, d] with many sounds [n, T, d]: [n].

    Raises UserError for a shift that leaves fewer than two embeddings.
    """
    if len(seen) - abs(shift) < 2:
        raise UserError(f"shift {shift}: leaves fewer than two of {len(seen)} embeddings")
    return np.asarray(_agreements(seen, heard, shift))


def sync_test(seen: np.ndarray, own: np.ndarray, others: np.ndarray, shift: int = 0) -> float:
    """Permutation p-value of a clip's own sound: (1 + others that agree at least as well) / (1 + others).

    Pictures [T, d] and own sound [T, d], others [n, T, d], all moved by `shift` alike. 1 where pictures do not
    change, since then every sound agrees alike, and where the own sound does not: silence is in time with nothing.
    """
    scores = agreements(seen, np.concatenate([own[None], others]), shift)
    # A still side scores exactly 0, which a null around 0 would give a middling rank.
    if scores[0] == 0:
        return 1.0
    return float((1 + np.sum(scores[1:] >= scores[0])) / len(scores))


def other_speech(seed: int, count: int = NULLS, config: TheatreConfig | None = None) -> list[np.ndarray]:
    """Speech of the first `count` clips of the theatre `seed` in which somebody speaks, float32 [s] each.

    Use a seed that the clips to be tested are not of. Raises UserError where hardly anybody speaks.
    """
    waves: list[np.ndarray] = []
    for index in range(100 * count):
        plan = plan_clip(seed, index, config)
        if plan.speaker is not None:
            waves.append(render_tracks(dataclasses.replace(plan, prop=None, mood=None))["speech"])
        if len(waves) == count:
            return waves
    raise UserError(f"theatre {seed}: fewer than {count} clips in {100 * count} have a speaker")


def save_syncsynth(directory: Path, instrument: SyncSynth) -> None:
    """Writes `config.json` and `model.safetensors` (float16)."""
    tensors = flat_paths(dict(instrument.params))
    for _ in write_tensors(directory, "model", tensors, dtype=np.float16):
        pass
    stored = {"network": dataclasses.asdict(instrument.config), "fps": str(instrument.fps)}
    write_json(directory / "config.json", {**stored, "fit": dict(instrument.fit)})


def load_syncsynth(directory: Path | None = None) -> SyncSynth:
    """The instrument in a folder; default: the bundled one. Raises UserError if files are missing or do not fit."""
    directory = directory or Path(str(importlib.resources.files("mtv_jax.assets"))) / "syncsynth"
    stored = read_json_object(directory / "config.json")
    try:
        config = SyncSynthConfig(**{**stored["network"], "widths": tuple(stored["network"]["widths"])})
        fps, fit = Fraction(stored["fps"]), stored["fit"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{directory / 'config.json'}: not of SyncSynth ({error!r})") from error
    tensors = {name: np.asarray(x, np.float32) for name, x in read_tensors(directory).items()}
    wanted = flat_paths(parameter_shapes(config))
    if {name: x.shape for name, x in tensors.items()} != {name: x.shape for name, x in wanted.items()}:
        raise UserError(f"{directory}: weights are not those of its config.json")
    return SyncSynth(config, from_flat_paths(tensors), fps, fit)


@functools.partial(jax.jit, static_argnums=0)
def _watch(config: SyncSynthConfig, params: Any, pictures: Array) -> Array:
    return SyncTowers(config).apply(params, pictures[None], method="watch")[0]


@functools.partial(jax.jit, static_argnums=0)
def _hear(config: SyncSynthConfig, params: Any, levels: Array) -> Array:
    return SyncTowers(config).apply(params, levels[None], method="hear")[0]


@functools.partial(jax.jit, static_argnums=2)
def _agreements(seen: Array, heard: Array, shift: int) -> Array:
    return agreement(seen[None], heard, shift)
