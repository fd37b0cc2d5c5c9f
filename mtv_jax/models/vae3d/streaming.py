"""Encoding and decoding one chunk of time at a time, so that memory does not grow with a video's length."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

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
    yield from decode_pieces(model, params, [latents], latents.shape[1])


def decode_pieces(
    model: VideoAutoencoder, params: Params, pieces: Iterable[Float[Array, "b f h w z"]], total: int
) -> Iterator[Float[Array, "b F H W 3"]]:
    """`decode_stream` of the `total` latent frames of a video that come in pieces of any lengths.

    The values are those of all pieces at once, bit for bit, since chunks do not end where pieces do.
    """
    decode = ChunkDecoder(model, params)
    for chunks in chunks_of(pieces, total):
        for chunk in chunks:
            yield decode(chunk)


def chunks_of(
    pieces: Iterable[Float[Array, "b f h w z"]], total: int
) -> Iterator[list[Float[Array, "b f h w z"]]]:
    """The chunks that `total` latent frames are decoded in: for each piece, those that it completes."""
    lengths = iter(chunk_lengths(total, DECODE_CHUNK))
    length, waiting = next(lengths), None
    for piece in pieces:
        waiting = piece if waiting is None else jnp.concatenate([waiting, piece], axis=1)
        chunks, start = [], 0
        while length and waiting.shape[1] - start >= length:
            chunks.append(waiting[:, start : start + length])
            start, length = start + length, next(lengths, 0)
        waiting = waiting[:, start:]
        yield chunks


class ChunkDecoder:
    """Decodes the chunks of a video (of (unscaled) latents) in turn, and keeps the cache between them."""

    def __init__(self, model: VideoAutoencoder, params: Params):
        self._model, self._params = model, params
        self._cache: Cache | None = None
        # Without compression in time, every frame stands alone.
        self._alone = model.config.temporal_compression_ratio > 1

    def __call__(self, chunk: Float[Array, "b f h w z"]) -> Float[Array, "b F H W 3"]:
        """The video of the next chunk."""
        video, self._cache = decode_chunk(self._model, self._params, chunk, self._cache, self._alone)
        self._alone = False
        return video

    def rest(self) -> None:
        """Moves the cache to the host until the next chunk."""
        self._cache = jax.device_get(self._cache)


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
