"""Training of Maestro's Condition Injection Module (CIM) through a frozen UNet of pictures (Maestro Eq. 1-3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.losses import denoising_loss, noised_latents, stratified_timesteps
from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.checks import check_number
from mtv_jax.io.errors import UserError
from mtv_jax.models.cim_unet2d.model import MEL
from mtv_jax.models.vae3d import LatentScale
from mtv_jax.ops.spec_augment import SpecAugmentConfig, spec_augment
from mtv_jax.training.tasks import Metrics, Task, sample_posterior
from mtv_jax.typing import Array, Float, Int, Key, Params


@dataclass(frozen=True)
class CIMLossConfig:
    """Loss of the Condition Injection Module.

    Attributes:
      lambda_1: weight of the denoising loss (Eq. 3); that of the distance from the label's text is 1 - lambda_1.
      scaling_factor: of the autoencoder that made the latents; None: as its config says.
      schedule: of the UNet's noise.
      augment: of the second copy of the sound. If it changes nothing there is no such copy.
    """

    lambda_1: float = 0.9
    scaling_factor: float | None = None
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig.stable_diffusion)
    augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)

    @property
    def copies(self) -> int:
        """How often a step runs the network on a row: for the sound, and for its augmented copy."""
        return 2 if self.augment.on else 1

    def __post_init__(self) -> None:
        check_number("loss.lambda_1", self.lambda_1)
        if not 0 <= self.lambda_1 <= 1:
            raise UserError(f"loss.lambda_1 {self.lambda_1}: must be between 0 and 1")


def cim_task(model: Any, config: CIMLossConfig) -> Task:
    """Train the CIM of a `CIMUNet2D` on key pictures, the sounds of their segments, and labels.

    A batch has `latents_mean` and `latents_logvar` [b S h w c] of the pictures, `mel` [b S m t] of the segments, and
    `text` [b l d], the embedding of the label. Pictures of a clip have timesteps evenly apart (ours), so that a batch
    covers them evenly. The sound and its augmented copy share noise and timesteps.
    """
    if config.scaling_factor is None:
        raise UserError("loss.scaling_factor: not given; it is the autoencoder's")
    scale, schedule = LatentScale(config.scaling_factor), config.schedule.schedule()

    def init(key: Key[Array, ""], batch: Mapping[str, Any]) -> Params:
        latents, mel, text = (
            jnp.zeros((1, *batch[name].shape[1:])) for name in ("latents_mean", MEL, "text")
        )
        return model.init(key, latents, jnp.zeros(1), Conditions(text, {MEL: mel}))

    def loss(params: Params, batch: Mapping[str, Array], key: Key[Array, ""]) -> tuple[Array, Metrics]:
        posterior, noise, augment = jax.random.split(key, 3)
        x0 = scale.normalise(sample_posterior(posterior, batch["latents_mean"], batch["latents_logvar"]))
        noise = jax.random.normal(noise, x0.shape)
        t = spread_timesteps(batch["timesteps"], x0.shape[1], schedule.num_train_timesteps)
        noised = noised_latents(schedule, x0, noise, t)
        mels = with_augmented(augment, batch[MEL].astype(jnp.float32), config.augment)
        context = model.apply(params, mels, method="listen")
        prediction = model.apply(
            params,
            jnp.concatenate([noised] * config.copies, 1),
            jnp.concatenate([t] * config.copies, 1).astype(jnp.float32),
            context,
            method="denoise",
        )
        total, metrics = jnp.zeros(()), {}
        parts = (jnp.split(x, config.copies, 1) for x in (prediction, context))
        for name, made, attended in zip(("sound", "augmented")[: config.copies], *parts, strict=True):
            denoising = jnp.mean(denoising_loss(schedule, x0, noise, t, made))
            distance = text_distance(attended, batch["text"])
            total += config.lambda_1 * denoising + (1 - config.lambda_1) * distance
            metrics |= {f"denoising_{name}": denoising, f"text_{name}": distance}
        return total, metrics

    def draw(key: Key[Array, ""], rows: int) -> dict[str, Array]:
        return {"timesteps": stratified_timesteps(key, rows, schedule)}

    return Task(init, loss, ("latents_mean", "latents_logvar", "text", MEL), draw)


def with_augmented(
    key: Key[Array, ""], mel: Float[Array, "b f m t"], config: SpecAugmentConfig
) -> Float[Array, "b n m t"]:
    """The spectrograms of each row followed by their augmented copies; by none if `config` changes nothing."""
    if not config.on:
        return mel
    changed = spec_augment(key, mel.reshape(-1, *mel.shape[2:]), config)
    return jnp.concatenate([mel, changed.reshape(mel.shape)], 1)


def spread_timesteps(timesteps: Int[Array, "b"], frames: int, total: int) -> Int[Array, "b f"]:
    """A timestep of each picture of a row: the row's, and the others at equal distances from it, modulo `total`."""
    return (timesteps[:, None] + jnp.arange(frames) * total // frames) % total


def text_distance(context: Float[Array, "b f l d"], text: Float[Array, "b m d"]) -> Float[Array, ""]:
    """Mean square of what each picture attends to minus the label's embedding, over all tokens, as in the code.

    Raises UserError unless m = l.
    """
    if context.shape[2] != text.shape[1]:
        raise UserError(
            f"texts of {text.shape[1]} tokens: the network's have {context.shape[2]}; give "
            f"--config.model.overrides.text_length={text.shape[1]}"
        )
    return jnp.mean((context - text[:, None].astype(jnp.float32)) ** 2)
