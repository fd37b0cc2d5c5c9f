"""The sampling loop: a jitted step of denoiser, guidance and sampler, driven from the host."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.guidance import (
    GuidanceKind,
    guidance_groups,
    guidance_scale,
    guided,
    stack_conditions,
)
from mtv_jax.diffusion.samplers import (
    Clean,
    Denoise,
    SamplerConfig,
    SamplerState,
    Step,
    sampler_step,
    sampler_steps,
    start,
    step_at,
)
from mtv_jax.diffusion.schedule import Schedule
from mtv_jax.typing import Array, Float, Key, Params, UInt8

TRACKS = ("speech", "effects", "music")
CONDITIONS = ("text", *TRACKS)

Conditions = Mapping[str, Array]
"""`text` [b l d] and, for a model with sound, the tracks [b F L c]."""


@dataclass(frozen=True)
class GenerateConfig:
    """How to sample: the sampler, and how strongly the conditions pull.

    Attributes:
      sampler: which one, and its number of steps.
      guidance: how the scale goes over time.
      guidance_scale: of text and sound jointly (MTV: 3.5); 1 follows the conditions without guidance, and
        costs half.
      track_scales: scales of single conditions (`text`, `speech`, `effects`, `music`) instead.
    """

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    guidance: GuidanceKind = "constant"
    guidance_scale: float = 3.5
    track_scales: tuple[tuple[str, float], ...] = ()

    def groups(self, conditions: Iterable[str]) -> tuple[list[list[str]], list[float]]:
        """Groups of conditions that share a scale, and the scales."""
        own = dict(self.track_scales)
        return guidance_groups({name: own.get(name, self.guidance_scale) for name in conditions})


def make_denoise(
    model: nn.Module, params: Params, conditions: Conditions, config: GenerateConfig, mask: Array | None
) -> Denoise:
    """The guided denoise function of a model under given conditions. `mask` [b f]: clean keyframes."""
    groups, scales = config.groups(conditions)
    plain = scales == [1.0] and config.guidance == "constant"
    branches = 1 if plain else len(groups) + 1
    stacked = dict(conditions) if plain else stack_conditions(conditions, groups)
    text = stacked["text"]
    audio = {name: stacked[name] for name in TRACKS if name in stacked} or None
    clean = None if mask is None else jnp.concatenate([mask] * branches)

    def denoise(x: Array, t: Array) -> Array:
        return model.apply(params, x, t, text, audio, clean)  # pyright: ignore[reportReturnType]

    if plain:
        return denoise
    num_steps = config.sampler.num_steps
    return guided(denoise, *(guidance_scale(config.guidance, s, num_steps=num_steps) for s in scales))


def generate(
    model: nn.Module,
    params: Params,
    conditions: Conditions,
    noise: Float[Array, "b f h w c"],
    key: Key,
    schedule: Schedule,
    config: GenerateConfig,
    *,
    clean: Clean | None = None,
    progress: Callable[[int, str], Iterable[int]] | None = None,
) -> Float[Array, "b f h w c"]:
    """Latents (scaled as the denoiser sees them) from standard normal `noise`.

    `key` seeds the noise of the steps; `clean` are keyframes (values [b f h w c], mask [b f]); `progress` is
    `mtv_jax.io.progress.progress` or like it.
    """
    steps, state = sampler_steps(schedule, config.sampler), start(noise, key, config.sampler)
    count = config.sampler.num_steps
    for i in progress(count, "sampling") if progress else range(count):
        state = _step(model, config, params, conditions, clean, state, step_at(steps, i))
        if progress:
            jax.block_until_ready(state.x)
    return state.x


@partial(jax.jit, static_argnums=(0, 1))
def _step(
    model: nn.Module,
    config: GenerateConfig,
    params: Params,
    conditions: Conditions,
    clean: Clean | None,
    state: SamplerState,
    step: Step,
) -> SamplerState:
    mask = None if clean is None else clean[1]
    return sampler_step(make_denoise(model, params, conditions, config, mask), state, step, clean=clean)


def decode_latents(vae: Any, vae_params: Params, latents: Float[Array, "b f h w c"]) -> np.ndarray:
    """Latents (scaled) to frames uint8 [b F H W 3]."""
    return np.asarray(_decode(vae, vae_params, latents))


@partial(jax.jit, static_argnums=0)
def _decode(vae: Any, params: Params, latents: Array) -> Array:
    return to_bytes(vae.apply(params, latents / vae.config.scaling_factor, method="decode"))


def to_bytes(video: Float[Array, "b F H W 3"]) -> UInt8[Array, "b F H W 3"]:
    """[-1, 1] to bytes, rounded and clipped."""
    return jnp.clip(jnp.round((video.astype(jnp.float32) + 1) * 127.5), 0, 255).astype(jnp.uint8)
