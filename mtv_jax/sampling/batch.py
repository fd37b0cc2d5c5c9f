"""Many videos at once, for measuring: each row's noise is its own, whatever else is in its batch.

Sampling is DDIM, which adds no noise on its way. Two requests of one seed and row that differ in a track differ in
that track alone.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.audio.features import track_features
from mtv_jax.audio.tracks import SAMPLE_RATE, Tracks
from mtv_jax.data.transforms import to_unit
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.samplers import SamplerConfig, SamplerName
from mtv_jax.io.errors import UserError
from mtv_jax.models.vae3d import encode_stream
from mtv_jax.ops.seeds import seed_key
from mtv_jax.sampling.generate import GenerateConfig, check_latents, decode_latents, generate
from mtv_jax.sampling.pipeline import Pipeline
from mtv_jax.typing import Float, UInt8, control_tracks

SAMPLER: SamplerName = "ddim"

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A video to be made at the pipeline's default size.

    Attributes:
      prompt: what is to be seen.
      tracks: waves by their names, float32 [s] at 16 kHz, as long as the video; a missing one is silence.
      seed, row: of the noise.
    """

    prompt: str
    tracks: Mapping[str, np.ndarray]
    seed: int
    row: int


def sample_many(
    pipe: Pipeline,
    requests: Iterable[Request],
    *,
    num_steps: int,
    guidance_scale: float,
    batch_size: int,
) -> Iterator[UInt8[np.ndarray, "F H W 3"]]:
    """Frames of each request, in order, made `batch_size` at a time (one compilation).

    `num_steps` and `guidance_scale` are as of `Pipeline.__call__`. Raises UserError for a pipeline that takes no
    sound, or cannot do without a picture.
    """
    check_hears(pipe)
    config = GenerateConfig(SamplerConfig(SAMPLER, num_steps), guidance_scale=guidance_scale)
    for batch, count in _batches(requests, batch_size):
        latents = _sample(pipe, batch, config)
        yield from decode_latents(pipe.vae, pipe.vae_params, latents)[:count]


def reconstruct_many(
    pipe: Pipeline, videos: Iterable[UInt8[np.ndarray, "F H W 3"]], *, batch_size: int
) -> Iterator[UInt8[np.ndarray, "F H W 3"]]:
    """Each video through the autoencoder and back: what is lost before anything is generated."""
    for batch, count in _batches(videos, batch_size):
        pieces = encode_stream(pipe.vae, pipe.vae_params, jnp.asarray(to_unit(np.stack(batch))))  # pyright: ignore[reportArgumentType]
        mean = jnp.concatenate([mean for mean, _ in pieces], axis=1)
        scale = pipe.vae.config.scaling_factor  # pyright: ignore[reportAttributeAccessIssue]
        yield from decode_latents(pipe.vae, pipe.vae_params, scale * mean)[:count]


def check_hears(pipe: Pipeline) -> None:
    """Raises UserError if a pipeline cannot make a video of text and sound alone."""
    if pipe.audio_encoder is None:
        raise UserError("this pipeline has no controlnet: it takes no sound that it could follow")
    if pipe.defaults.image_channels:
        raise UserError("this pipeline makes videos of a first picture, which is not given here")


def _sample(pipe: Pipeline, batch: list[Request], config: GenerateConfig) -> Float[Array, "b f h w c"]:
    size, conditions = pipe.defaults, _conditions(pipe, batch)
    noise = [pipe.noise(jax.random.fold_in(seed_key(r.seed), r.row), size) for r in batch]
    no_text = None
    if size.no_text == "empty_prompt":
        no_text = jnp.repeat(jnp.asarray(pipe.text_encoder([""])), len(batch), axis=0)
    latents = generate(
        pipe.denoiser,
        pipe.denoiser_params,
        conditions,
        jnp.concatenate(noise),
        jax.random.split(jax.random.key(0), len(batch)),  # of the steps' noise: the sampler has none
        pipe.schedule,
        config,
        no_text=no_text,
    )
    check_latents(latents)
    return latents[:, pipe.padding(size) :]


def _conditions(pipe: Pipeline, batch: list[Request]) -> Conditions:
    """Text [b l d] and features [b F L c] of the tracks."""
    assert pipe.audio_encoder is not None
    size = pipe.defaults
    heard = [
        track_features(pipe.audio_encoder, _tracks(pipe, request), size.num_frames, size.fps)
        for request in batch
    ]
    sound = {name: jnp.asarray(np.stack([features[name] for features in heard])) for name in heard[0]}
    return Conditions(jnp.asarray(pipe.text_encoder([request.prompt for request in batch])), sound)


def _tracks(pipe: Pipeline, request: Request) -> Tracks:
    size = pipe.defaults
    silence = np.zeros(round(size.num_frames * SAMPLE_RATE / size.fps), np.float32)
    return Tracks(**{name: request.tracks.get(name, silence) for name in control_tracks(pipe.num_speakers)})


def _batches(items: Iterable[T], size: int) -> Iterator[tuple[list[T], int]]:
    """Lists of one length, `size` or that of all if fewer, the last filled up; and how many of it count."""
    rest, length = iter(items), None
    while batch := list(itertools.islice(rest, size)):
        length = length or len(batch)
        yield batch + [batch[-1]] * (length - len(batch)), len(batch)
