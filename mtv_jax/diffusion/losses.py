"""Training losses, one value a sample, in float32 whatever the model's dtype."""

from typing import Literal

import jax
import jax.numpy as jnp

from mtv_jax.diffusion.noise.base import NoiseSchedule, add_noise
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Float, Key

LossKind = Literal["mse", "x0_snr"]


def stratified_timesteps(key: Key[Array, ""], batch: int, schedule: NoiseSchedule) -> Array:
    """Timesteps `[b]` for a *global* batch: each as `schedule` distributes them, and each of b equal shares gets one.

    A random permutation decides who gets which interval, so no position in the batch sees only some of them.
    """
    order, jitter = jax.random.split(key)
    strata = jax.random.permutation(order, batch).astype(jnp.float32)
    return schedule.timesteps_at((strata + jax.random.uniform(jitter, (batch,))) / batch)


def frame_timesteps(t: Array, clean_mask: Array | None) -> Array:
    """Timestep of every latent frame, `[b f]`: clean keyframes are at 0. Without a mask `t` `[b]` itself."""
    if clean_mask is None:
        return t
    return jnp.where(clean_mask, 0, t[:, None])


def noised_latents(
    schedule: NoiseSchedule,
    x0: Float[Array, "b f h w c"],
    noise: Float[Array, "b f h w c"],
    t: Array,
    clean_mask: Array | None = None,
) -> Float[Array, "b f h w c"]:
    """The network's input in training: x_t, but clean frames (`clean_mask` `[b f]`) noised at timestep 0.

    Not exactly clean in MTV: sqrt(abar_0) = .99957, as the reference trains.
    """
    return add_noise(schedule, x0, noise, frame_timesteps(t, clean_mask))


def denoising_loss(
    schedule: NoiseSchedule,
    x0: Float[Array, "b f h w c"],
    noise: Float[Array, "b f h w c"],
    t: Array,
    prediction: Float[Array, "b f h w c"],
    *,
    clean_mask: Array | None = None,
    kind: LossKind = "mse",
    motion_weight: float = 0.0,
    max_weight: float | None = None,
) -> Float[Array, "b"]:
    """Loss of every sample for the raw `prediction` made at `noised_latents(...)`.

    - `mse`: MTV Eq. 1, the mean of (target - prediction)**2, with the target of the schedule. Clean keyframes
      are left out of the mean.
    - `x0_snr`: the MTV reference, the mean of (x0_hat - x0)**2 over the power of the noise (1 - abar_t). Clean
      frames are included, with x0_hat by the levels of timestep 0 and the weight of the sample's `t`. Equal
      to `mse` for v without clean frames, and to `mse` / abar_t for epsilon. The weight is at most `max_weight`, if
      that is given (arXiv 2303.09556): little noise would otherwise count a thousand times as much as pure noise.

    `motion_weight` (ours) weighs the same distance between the differences of neighbouring latent frames, which is
    added: where most of a picture stands still, the plain one hardly sees what moves.
    """
    x0, noise = x0.astype(jnp.float32), noise.astype(jnp.float32)
    frames = frame_timesteps(t, clean_mask)
    if kind == "mse":
        error = schedule.target(x0, noise, frames) - prediction.astype(jnp.float32)
        return _mean_of_noisy(error**2, clean_mask) + motion_weight * _motion(error, clean_mask)
    if kind == "x0_snr":
        estimate = schedule.to_x0(add_noise(schedule, x0, noise, frames), prediction, frames)
        weight = jnp.minimum(1 / schedule.levels(t)[1] ** 2, max_weight or jnp.inf)
        error = estimate - x0
        return weight * (jnp.mean(error**2, axis=_ALL) + motion_weight * _motion(error, None))
    raise UserError(f"loss kind={kind!r}: not known; use mse or x0_snr")


_ALL = (1, 2, 3, 4)


def _motion(error: Float[Array, "b f h w c"], clean_mask: Array | None) -> Float[Array, "b"]:
    """Mean square of what the error changes from frame to frame; that of clean frames is 0. Of one frame: 0."""
    if error.shape[1] == 1:
        return jnp.zeros(error.shape[0])
    if clean_mask is not None:
        error = jnp.where(clean_mask[:, :, None, None, None], 0.0, error)
    return jnp.mean(jnp.diff(error, axis=1) ** 2, axis=_ALL)


def _mean_of_noisy(error: Float[Array, "b f h w c"], clean_mask: Array | None) -> Float[Array, "b"]:
    """Mean over all but the batch, of the frames that are not clean; 0 if none is noisy."""
    if clean_mask is None:
        return jnp.mean(error, axis=_ALL)
    per_frame = jnp.mean(error, axis=tuple(range(2, error.ndim)))
    noisy = 1 - clean_mask.astype(jnp.float32)
    return jnp.sum(per_frame * noisy, axis=1) / jnp.maximum(jnp.sum(noisy, axis=1), 1)
