"""Sample videos during training: the first clip, generated or reconstructed.

They share the devices with the training state, so little is on a device at a time: one clip, networks in the model's
dtype, frames moved to the host as they are decoded. `mtv_jax.plan` includes this memory.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from mtv_jax.data.pipeline import make_dataset
from mtv_jax.data.shards import ShardSet
from mtv_jax.data.transforms import to_uint8, to_unit
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.models.vae3d import AutoencoderConfig, decode_stream, encode_stream
from mtv_jax.pipelines.run import (
    Encoded,
    GenerateConfig,
    check_latents,
    decode_latents,
    generate,
    row_request,
)
from mtv_jax.sharding.mesh import make_mesh, replicated
from mtv_jax.training.build import DTYPES
from mtv_jax.training.configs import TrainConfig
from mtv_jax.training.export import encoders_folder, has_encoders
from mtv_jax.training.loop import SampleFunction
from mtv_jax.training.tasks import DenoiserLossConfig, Task
from mtv_jax.typing import Array, Float, Params, UInt8
from mtv_jax.weights.pretrained import load_model

WHOLE_PIXELS = 256 * 384
"""Frames of up to this many pixels are decoded whole, larger ones in tiles: at 480 x 720 a whole chunk takes 30 GiB
(launch/plans/sample_v5p_4.json), more than most chips have free beside the training state."""


def make_sample_fn(config: TrainConfig, model: Any, task: Task, shards: ShardSet) -> SampleFunction | None:
    """The loop's callback for a sample video, or None if the config disables samples.

    Every process makes the video, with the sharded weights; the loop writes that of the first process.
    """
    if not config.sample.every:
        return None
    if config.task == "vae":
        return _reconstruction(model, shards)
    return _generation(config, model, task, shards) if has_encoders(config) else None


def decodes_in_tiles(config: AutoencoderConfig, latent_height: int, latent_width: int) -> bool:
    """Whether a sample of this size is decoded in tiles."""
    return latent_height * latent_width * config.spatial_compression_ratio**2 > WHOLE_PIXELS


@dataclass(frozen=True)
class Decoder:
    """The autoencoder beside the shards; its parameters are kept on the host except while it decodes.

    Each process decodes on its own first local device: no process waits for another.
    """

    vae: Any
    params: Params

    @classmethod
    def load(cls, config: TrainConfig) -> "Decoder":
        """In the dtype of the trained model, parameters included."""
        assert isinstance(config.loss, DenoiserLossConfig)
        dtype = DTYPES[config.model.dtype]
        vae, params = load_model(encoders_folder(config) / "vae", dtype=dtype, param_dtype=dtype)
        # The latent scale of the training, which may differ from the autoencoder's config.
        vae = vae.clone(config=replace(vae.config, scaling_factor=config.loss.scaling_factor))
        return cls(vae, jax.device_get(params))

    def frames(self, latents: Float[Array, "1 f h w c"]) -> UInt8[np.ndarray, "F H W 3"]:
        """The frames of one clip's (scaled) latents."""
        tiled = decodes_in_tiles(self.vae.config, *latents.shape[2:4])
        return decode_latents(self.vae, jax.device_put(self.params), jnp.asarray(latents), tiled=tiled)[0]


def _reconstruction(model: Any, shards: ShardSet) -> SampleFunction:
    """The first clip of the shards above its reconstruction, a few frames at a time."""
    clip = shards.read(0).arrays["video"]
    # Not a JAX array: it would be placed on a device of this process instead of the mesh of all.
    video: Any = to_unit(clip[None])
    fps = float(shards.clip_size.fps)

    def sample(_step: int, params: Params) -> tuple[np.ndarray, float]:
        encoded = encode_stream(model, params, video)
        mean = jnp.concatenate([mean for mean, _ in encoded], axis=1)
        pieces = [to_host(to_uint8(piece)) for piece in decode_stream(model, params, mean)]
        return np.concatenate([clip, np.concatenate(pieces, axis=1)[0]], axis=1), fps

    return sample


@dataclass(frozen=True)
class Generation:
    """Generates videos from the conditions of clips, with the parameters of a training on its mesh."""

    config: TrainConfig
    model: Any
    decoder: Decoder
    how: GenerateConfig
    seed: int

    @classmethod
    def of(
        cls, config: TrainConfig, model: Any, seed: int, steps: int, guidance_scale: float
    ) -> "Generation":
        """Loads the autoencoder beside the shards."""
        how = GenerateConfig(SamplerConfig(config.sample.sampler, steps), guidance_scale=guidance_scale)
        return cls(config, model, Decoder.load(config), how, seed)

    def frames(
        self, params: Params, clip: Mapping[str, np.ndarray], row: int
    ) -> UInt8[np.ndarray, "F H W 3"]:
        """The frames for a clip's arrays [1 ...]; the noise depends on the seed and `row` only.

        Raises FloatingPointError if the latents are not finite.
        """
        assert isinstance(self.config.loss, DenoiserLossConfig)
        tracks = {name: np.asarray(clip[name], np.float32) for name in self.model.tracks}
        encoded = Encoded(Conditions(np.asarray(clip["text"], np.float32), tracks))
        given, noise, keys = self._begin(encoded, row, clip["latents_mean"].shape)
        with jax.set_mesh(self._mesh):
            made = generate(
                self.model, params, given, noise, keys, self.config.loss.schedule.schedule(), self.how
            )
        latents = to_host(made)
        check_latents(latents)
        return self.decoder.frames(latents)

    @cached_property
    def _mesh(self) -> Any:
        return make_mesh(self.config.mesh)

    @cached_property
    def _begin(self) -> Any:
        """`(encoded, row, shape of the latents) ->` conditions, noise and keys of the steps, on every device."""

        # Global arrays can only be created by a program that all processes run.
        @partial(jax.jit, static_argnums=(1, 2), out_shardings=replicated(self._mesh))
        def begin(encoded: Encoded, row: int, shape: tuple[int, ...]) -> tuple[Any, jax.Array, jax.Array]:
            request = row_request("", {}, self.seed, row)
            return encoded, jax.random.normal(request.noise_key, shape[1:])[None], request.step_key[None]

        return begin


def _generation(config: TrainConfig, model: Any, task: Task, shards: ShardSet) -> SampleFunction:
    """A video generated from the prompt and sound of the first clip, below the reconstruction of that clip."""
    how = config.sample
    generation = Generation.of(config, model, config.seed, how.num_inference_steps, how.guidance_scale)
    (clip,), fps = first_clips(config, task, shards, 1), float(shards.clip_size.fps)
    decoder = generation.decoder
    latents = decoder.vae.normalise(np.asarray(clip["latents_mean"], np.float32))
    known = cache(lambda: decoder.frames(latents))

    def sample(_step: int, params: Params) -> tuple[np.ndarray, float]:
        return np.concatenate([known(), generation.frames(params, clip, 0)], axis=1), fps

    return sample


def first_clips(config: TrainConfig, task: Task, shards: ShardSet, count: int) -> list[dict[str, np.ndarray]]:
    """Arrays [1 ...] of the first clips of shards that the config reads."""
    data = replace(config.data, batch_size=1).pipeline(task.keys, config.data_seed)
    data = replace(data, shuffle=False, repeat=False)
    return list(itertools.islice(make_dataset(shards, data, process_index=0, process_count=1), count))


def to_host(x: jax.Array) -> Any:
    """Gathers an array that may be sharded over several processes to the host of each."""
    return multihost_utils.process_allgather(x, tiled=True)
