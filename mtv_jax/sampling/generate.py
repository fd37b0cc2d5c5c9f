"""The sampling loop: a jitted step of denoiser, guidance and sampler, driven from the host."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.data.transforms import to_uint8
from mtv_jax.diffusion.guidance import (
    GuidanceKind,
    guidance_groups,
    guidance_scale,
    guided,
    stack_conditions,
)
from mtv_jax.diffusion.noise.base import NoiseSchedule
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
from mtv_jax.io.limits import check_guidance
from mtv_jax.io.progress import say
from mtv_jax.models.vae3d import Tiling, decode_stream, tiled_decode
from mtv_jax.typing import Array, Float, Key, Params, UInt8, control_tracks

CONDITIONS = ("text", *control_tracks(2))
"""In the order in which guidance adds them."""

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
      track_scales: scales of single conditions (`text`, `speech`, `effects`, `music`) instead. A second speaker
        (`speech2`) has that of `speech` if it has none of its own.
    """

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    guidance: GuidanceKind = "constant"
    guidance_scale: float = 3.5
    track_scales: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        check_guidance(self.guidance_scale)
        check_guidance(dict(self.track_scales))

    def groups(self, conditions: Iterable[str]) -> tuple[list[list[str]], list[float]]:
        """Groups of conditions that share a scale, and the scales."""
        own = dict(self.track_scales)
        own.setdefault("speech2", own.get("speech", self.guidance_scale))
        names = sorted(conditions, key=CONDITIONS.index)
        return guidance_groups({name: own.get(name, self.guidance_scale) for name in names})


@dataclass(frozen=True)
class Given:
    """What the denoiser is told beside its conditions; all may be left out.

    Attributes:
      clean: keyframes, values [b f h w c] and mask [b f].
      no_text: embeddings [b l d] that guidance leads away from; zeros if not given.
      image: [b f h w c], in channels behind those of the latents (CogVideoX image to video).
    """

    clean: Clean | None = None
    no_text: Float[Array, "b l d"] | None = None
    image: Float[Array, "b f h w c"] | None = None


jax.tree_util.register_dataclass(Given)


def make_denoise(
    model: nn.Module, params: Params, conditions: Conditions, config: GenerateConfig, given: Given
) -> Denoise:
    """The guided denoise function of a model under given conditions."""
    groups, scales = config.groups(conditions)
    plain = scales == [1.0] and config.guidance == "constant"
    branches = 1 if plain else len(groups) + 1
    stacked = dict(conditions) if plain else stack_conditions(conditions, groups)
    if given.no_text is not None and not plain:
        without = 1 + next(i for i, group in enumerate(groups) if "text" in group)
        text = [given.no_text] * without + [conditions["text"]] * (branches - without)
        stacked["text"] = jnp.concatenate(text)
    text = stacked.pop("text")
    clean, image = (
        None if x is None else jnp.concatenate([x] * branches)
        for x in (None if given.clean is None else given.clean[1], given.image)
    )

    def denoise(x: Array, t: Array) -> Array:
        x = x if image is None else jnp.concatenate([x, image], axis=-1)
        return model.apply(params, x, t, text, stacked or None, clean)  # pyright: ignore[reportReturnType]

    if plain:
        return denoise
    num_steps = config.sampler.num_steps
    return guided(denoise, *(guidance_scale(config.guidance, s, num_steps=num_steps) for s in scales))


def generate(
    model: nn.Module,
    params: Params,
    conditions: Conditions,
    noise: Float[Array, "b f h w c"],
    key: Key[Array, ""],
    schedule: NoiseSchedule,
    config: GenerateConfig,
    *,
    given: Given = Given(),
    progress: Callable[[int, str], Iterable[int]] | None = None,
) -> Float[Array, "b f h w c"]:
    """Latents (scaled as the denoiser sees them) from standard normal `noise`.

    `key` seeds the noise of the steps; `progress` is `mtv_jax.io.progress.progress` or like it.
    """
    steps, state = sampler_steps(schedule, config.sampler), start(noise, key, config.sampler)
    count = config.sampler.num_steps
    if progress and _is_new((model, config), (params, conditions, given, state)):
        say("compiling the sampling step for videos of this size: the first step takes longer")
    for i in progress(count, "sampling") if progress else range(count):
        state = _step(model, config, params, conditions, given, state, step_at(steps, i))
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
    conditions: Conditions,
    given: Given,
    state: SamplerState,
    step: Step,
) -> SamplerState:
    denoise = make_denoise(model, params, conditions, config, given)
    return sampler_step(denoise, state, step, clean=given.clean)


def decode_latents(
    vae: Any, vae_params: Params, latents: Float[Array, "b f h w c"], *, tiled: bool = False
) -> UInt8[np.ndarray, "b F H W 3"]:
    """Latents (scaled) to frames, a few at a time; `tiled` also decodes the picture in parts, in less memory."""
    latents = latents / vae.config.scaling_factor
    if tiled:
        return np.asarray(to_uint8(tiled_decode(vae, vae_params, latents, Tiling.aligned(vae.config))))
    pieces = decode_stream(vae, vae_params, latents)
    return np.concatenate([np.asarray(to_uint8(piece)) for piece in pieces], axis=1)


def check_latents(latents: Float[Array, "b f h w c"]) -> None:
    """Raises FloatingPointError unless sampled latents are finite: a picture of NaN would be black."""
    wrong = int((~jnp.isfinite(latents)).sum())
    if wrong:
        raise FloatingPointError(
            f"latents: {wrong} of {latents.size} numbers are NaN or infinite after sampling; nothing is written"
        )
