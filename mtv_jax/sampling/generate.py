"""The sampling loop: a jitted step of denoiser, guidance and sampler, driven from the host."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.conditions import TEXT, Conditions
from mtv_jax.diffusion.guidance import GuidanceKind, guidance_groups, guidance_scale, guided
from mtv_jax.diffusion.samplers import (
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
from mtv_jax.io.limits import check_guidance
from mtv_jax.io.progress import say
from mtv_jax.models.vae3d import Tiling, decode_stream, tiled_decode
from mtv_jax.typing import Array, Float, Key, Params, UInt8, track_kind


@dataclass(frozen=True)
class GenerateConfig:
    """How to sample: the sampler, and how strongly the conditions pull.

    Attributes:
      sampler: which one, and its number of steps.
      guidance: how the scale goes over time.
      guidance_scale: of text and sound jointly (MTV: 3.5); 1 follows the conditions without guidance, and
        costs half.
      track_scales: scales of single conditions (`text` and names of tracks) instead. Further speakers (`speech2`,
        ...) have that of `speech` if they have none of their own.
    """

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    guidance: GuidanceKind = "constant"
    guidance_scale: float = 3.5
    track_scales: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        check_guidance(self.guidance_scale)
        check_guidance(dict(self.track_scales))

    def groups(self, tracks: Sequence[str]) -> tuple[list[list[str]], list[float]]:
        """Groups of conditions that share a scale, in the order in which guidance adds them, and the scales."""
        own = dict(self.track_scales)

        def scale(name: str) -> float:
            return own.get(name, own.get(track_kind(name), self.guidance_scale))

        return guidance_groups({name: scale(name) for name in (TEXT, *tracks)})

    def is_plain(self, scales: Sequence[float]) -> bool:
        """Whether these scales ask for the conditional prediction alone."""
        return list(scales) == [1.0] and self.guidance == "constant"


def make_denoise(
    model: Any, params: Params, conditions: Conditions, no_text: Array | None, config: GenerateConfig
) -> Denoise:
    """The guided denoise function of a model under given conditions.

    `no_text` [b l d] is what guidance leads away from in place of the text; None: zeros.
    """
    groups, scales = config.groups(model.tracks)
    plain = config.is_plain(scales)
    branches = conditions if plain else conditions.for_guidance(groups, no_text=no_text)

    def denoise(x: Array, t: Array) -> Array:
        return model.apply(params, x, t, branches)

    if plain:
        return denoise
    num_steps = config.sampler.num_steps
    return guided(denoise, *(guidance_scale(config.guidance, s, num_steps=num_steps) for s in scales))


def generate(
    model: nn.Module,
    params: Params,
    conditions: Conditions,
    noise: Float[Array, "b f h w c"],
    keys: Key[Array, "b"],
    schedule: Schedule,
    config: GenerateConfig,
    *,
    keyframes: Float[Array, "b f h w c"] | None = None,
    no_text: Float[Array, "b l d"] | None = None,
    progress: Callable[[int, str], Iterable[int]] | None = None,
) -> Float[Array, "b f h w c"]:
    """Latents (normalised, as the denoiser sees them) from standard normal `noise`.

    Args:
      model, params: the denoiser.
      conditions: of all rows.
      noise: standard normal.
      keys: of each row, for the noise of its steps.
      schedule, config: how to sample.
      keyframes: clean latents, which are kept where the `clean_mask` of `conditions` is true.
      no_text: embeddings that guidance leads away from; zeros if not given.
      progress: `mtv_jax.io.progress.progress` or like it.
    """
    steps, state = sampler_steps(schedule, config.sampler), start(noise, keys, config.sampler)
    count = config.sampler.num_steps
    given = (conditions, keyframes, no_text)
    if progress and _is_new((model, config), (params, given, state)):
        say("compiling the sampling step for videos of this size: the first step takes longer")
    for i in progress(count, "sampling") if progress else range(count):
        state = _step(model, config, params, given, state, step_at(steps, i))
        if progress:
            jax.block_until_ready(state.x)
    return state.x


_compiled: set[Any] = set()


def _is_new(static: tuple[Any, ...], arrays: Any) -> bool:
    """Whether `_step` has not met such arguments before in this process, and so will be compiled for them."""
    leaves, structure = jax.tree.flatten(arrays)
    met = (*static, structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves))
    new = met not in _compiled
    _compiled.add(met)
    return new


@partial(jax.jit, static_argnums=(0, 1))
def _step(
    model: nn.Module,
    config: GenerateConfig,
    params: Params,
    given: tuple[Conditions, Array | None, Array | None],
    state: SamplerState,
    step: Step,
) -> SamplerState:
    conditions, keyframes, no_text = given
    denoise = make_denoise(model, params, conditions, no_text, config)
    clean = None if keyframes is None else (keyframes, conditions.clean_mask)
    return sampler_step(denoise, state, step, clean=clean)


def decode_latents(
    vae: Any, vae_params: Params, latents: Float[Array, "b f h w c"], *, tiled: bool = False
) -> UInt8[np.ndarray, "b F H W 3"]:
    """Latents (scaled) to frames, a few at a time; `tiled` also decodes the picture in parts, in less memory."""
    latents = latents / vae.config.scaling_factor
    if tiled:
        return np.asarray(to_bytes(tiled_decode(vae, vae_params, latents, Tiling.aligned(vae.config))))
    pieces = decode_stream(vae, vae_params, latents)
    return np.concatenate([np.asarray(to_bytes(piece)) for piece in pieces], axis=1)


def check_latents(latents: Float[Array, "b f h w c"]) -> None:
    """Raises FloatingPointError unless sampled latents are finite: a picture of NaN would be black."""
    wrong = int((~jnp.isfinite(latents)).sum())
    if wrong:
        raise FloatingPointError(
            f"latents: {wrong} of {latents.size} numbers are NaN or infinite after sampling; nothing is written"
        )


@jax.jit
def to_bytes(video: Float[Array, "b F H W 3"]) -> UInt8[Array, "b F H W 3"]:
    """[-1, 1] to bytes, rounded and clipped."""
    return jnp.clip(jnp.round((video.astype(jnp.float32) + 1) * 127.5), 0, 255).astype(jnp.uint8)
