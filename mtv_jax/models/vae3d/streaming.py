"""Encoding and decoding one chunk of time at a time, so that memory does not grow with a video's length."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax

from mtv_jax.models.vae3d.blocks import Cache
from mtv_jax.models.vae3d.model import (
    DECODE_CHUNK,
    ENCODE_CHUNK,
    VideoAutoencoder,
    check_encode_chunk,
    check_video_shape,
    chunk_lengths,
)
from mtv_jax.typing import Array, Float, Params


def decode_stream(
    model: VideoAutoencoder,
    params: Params,
    latents: Float[Array, "b f h w z"],
) -> Iterator[Float[Array, "b F H W 3"]]:
    """Yields the video of (unscaled) latents chunk by chunk, with the values of `VideoAutoencoder.decode`.

    One function is compiled for the first chunk and one for the others, if these differ; each call reuses them.
    """
    cache, start = None, 0
    joins_frames = model.config.temporal_compression_ratio > 1  # else every frame stands alone in time
    for index, length in enumerate(chunk_lengths(latents.shape[1], DECODE_CHUNK)):
        chunk = latents[:, start : start + length]
        video, cache = decode_chunk(model, params, chunk, cache, joins_frames and index == 0)
        yield video
        start += length


def encode_stream(
    model: VideoAutoencoder,
    params: Params,
    video: Float[Array, "b F H W 3"],
) -> Iterator[tuple[Float[Array, "b f h w z"], Float[Array, "b f h w z"]]]:
    """Yields mean and log-variance chunk by chunk, with the values and errors of `VideoAutoencoder.encode`."""
    check_video_shape(video.shape, model.config)
    check_encode_chunk(ENCODE_CHUNK, model.config)
    yield from encode_pieces(model, params, video, ENCODE_CHUNK)


def encode_pieces(
    model: VideoAutoencoder, params: Params, video: Float[Array, "b F H W 3"], frames_per_chunk: int
) -> Iterator[tuple[Float[Array, "b f h w z"], Float[Array, "b f h w z"]]]:
    """`encode_stream` without its checks: a tile at the edge may have any height and width."""
    cache, start = None, 0
    for length in chunk_lengths(video.shape[1], frames_per_chunk):
        moments, cache = _encode_chunk(model, params, video[:, start : start + length], cache)
        yield moments
        start += length


@partial(jax.jit, static_argnames=("model", "lone_first"), donate_argnames="cache")
def decode_chunk(
    model: VideoAutoencoder, params: Params, latents: Array, cache: Cache | None, lone_first: bool
) -> Any:
    """Video of one chunk of `decode_stream` and the cache for the next; the previous cache is donated."""
    return model.apply(params, latents, cache, lone_first, method="decode_chunk")


@partial(jax.jit, static_argnames="model", donate_argnames="cache")
def _encode_chunk(model: VideoAutoencoder, params: Params, video: Array, cache: Cache | None):
    return model.apply(params, video, cache, method="encode_chunk")
