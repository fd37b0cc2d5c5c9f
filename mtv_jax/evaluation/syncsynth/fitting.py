"""Fits SyncSynth on its own renderer, contrasting a clip's sound with those of other clips and with itself shifted.

Run by `recipes/train_syncsynth.py`. The loss is InfoNCE; generators are never trained on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mtv_jax.evaluation.syncsynth.renderer import render_example
from mtv_jax.io.progress import progress
from mtv_jax.models.syncsynth import SyncSynthConfig, SyncTowers, agreement, sound_levels
from mtv_jax.typing import Array, Float


@dataclass(frozen=True)
class FitConfig:
    """How the network is fitted.

    Attributes:
      seed: of the renderer, of the first weights and of the batches.
      examples: clips rendered; batches are drawn from them.
      shifts: largest number of frames by which the sound is shifted either way to give negatives.
      fps: of the pictures, and of all that the network can measure.
    """

    seed: int = 20240917
    examples: int = 2500
    steps: int = 260
    batch: int = 48
    learning_rate: float = 2e-3
    shifts: int = 6
    num_frames: int = 25
    fps: int = 12


def info_nce(
    seen: Float[Array, "b T d"], heard: Float[Array, "b T d"], scale: Float[Array, ""], shifts: int
) -> Float[Array, ""]:
    """Mean loss over clips; negatives are the other sounds of the batch and its own, shifted by up to `shifts` frames.

    Shifted sounds are compared where both sides exist; nothing wraps around.
    """
    moved = [agreement(seen, heard, k) for k in range(-shifts, shifts + 1) if k]
    others = agreement(seen[:, None], heard[None, :])
    logits = scale * jnp.concatenate([others, jnp.stack(moved, axis=1)], axis=1)
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(len(seen))).mean()


def fit_syncsynth(config: FitConfig, network: SyncSynthConfig) -> tuple[dict[str, Any], list[float]]:
    """Parameters of `SyncTowers(network)`, and the loss of each step. The same seed gives the same examples."""
    pictures, levels = _examples(config)
    model = SyncTowers(network)
    params = model.init(jax.random.key(config.seed), pictures[:1].astype(np.float32), levels[:1])
    state = {"network": params, "log_scale": jnp.log(10.0)}
    optimizer = optax.adamw(
        optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.steps // 20, config.steps)
    )
    step, moments = _make_step(model, optimizer, config), optimizer.init(state)
    rng, losses = np.random.default_rng(config.seed), []
    for _ in progress(range(config.steps), "fitting SyncSynth"):
        picks = rng.choice(config.examples, config.batch, replace=False)
        flip = 1 - 2 * int(rng.integers(2))
        batch = pictures[picks][..., ::flip].astype(np.float32)
        state, moments, loss = step(state, moments, batch, levels[picks].astype(np.float32))
        losses.append(float(loss))
    return state["network"], losses


def _examples(config: FitConfig) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [n, F, h, w] and sound float16 [n, F, L, bands]: 32 kB an example."""
    pictures, levels = [], []
    for index in progress(range(config.examples), "rendering"):
        example = render_example(config.seed, index, config.num_frames, config.fps)
        pictures.append(example.pictures)
        levels.append(sound_levels(example.wave, config.num_frames, Fraction(config.fps)).astype(np.float16))
    return np.stack(pictures), np.stack(levels)


def _make_step(
    model: SyncTowers, optimizer: optax.GradientTransformation, config: FitConfig
) -> Callable[..., tuple[Any, Any, Array]]:
    def loss_of(state: dict[str, Any], pictures: Array, levels: Array) -> Array:
        seen: Array = model.apply(state["network"], pictures, method="watch")  # pyright: ignore[reportAssignmentType]
        heard: Array = model.apply(state["network"], levels, method="hear")  # pyright: ignore[reportAssignmentType]
        scale = jnp.exp(jnp.minimum(state["log_scale"], jnp.log(50.0)))
        return info_nce(seen, heard, scale, config.shifts)

    @jax.jit
    def step(state: Any, moments: Any, pictures: Array, levels: Array) -> tuple[Any, Any, Array]:
        loss, gradients = jax.value_and_grad(loss_of)(state, pictures, levels)
        updates, moments = optimizer.update(gradients, moments, state)
        return optax.apply_updates(state, updates), moments, loss

    return step
