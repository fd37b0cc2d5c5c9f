"""Encoding and decoding in overlapping spatial tiles, blended: memory does not grow with the frame size.

Source: `tiled_encode` and `tiled_decode` of diffusers' AutoencoderKLCogVideoX and AutoencoderKL. Each tile has its own
group norm statistics, so the result is close to, but not equal to, the result without tiles.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.vae3d.config import AutoencoderConfig
from mtv_jax.models.vae3d.model import (
    ENCODE_CHUNK,
    VideoAutoencoder,
    check_video_shape,
)
from mtv_jax.models.vae3d.streaming import ChunkDecoder, chunks_of, encode_pieces
from mtv_jax.typing import Array, Float, Params


@dataclass(frozen=True)
class Tiling:
    """Size of a tile in pixels, and the parts of it that overlap its neighbours."""

    height: int
    width: int
    overlap_height: float = 1 / 6
    overlap_width: float = 1 / 5

    def __post_init__(self) -> None:
        for name, overlap in (("overlap_height", self.overlap_height), ("overlap_width", self.overlap_width)):
            if not 0 <= overlap < 1:
                raise UserError(f"{name} {overlap}: must be at least 0 and less than 1")

    @classmethod
    def of(cls, config: AutoencoderConfig) -> "Tiling":
        """diffusers' default for this autoencoder."""
        return cls(*config.tiles)  # pyright: ignore[reportArgumentType]

    @classmethod
    def aligned(cls, config: AutoencoderConfig) -> "Tiling":
        """As `of`, but tiles and overlaps are whole latent cells: otherwise the output has another size, in
        diffusers as here. At the sizes of CogVideoX they are whole already."""
        tiling, ratio = cls.of(config), config.spatial_compression_ratio
        height, width = tiling.cells(config)
        return cls(
            height * ratio,
            width * ratio,
            math.ceil(height * tiling.overlap_height) / height,
            math.ceil(width * tiling.overlap_width) / width,
        )

    def cells(self, config: AutoencoderConfig) -> tuple[int, int]:
        """Height and width of a tile in latent cells."""
        ratio = config.spatial_compression_ratio
        return self.height // ratio, self.width // ratio

    def count(self, config: AutoencoderConfig, latent_height: int, latent_width: int) -> int:
        """How many tiles latents of this size are decoded in."""
        rows, columns = self.stride(self.cells(config))
        return len(range(0, latent_height, rows)) * len(range(0, latent_width, columns))

    def stride(self, size: tuple[int, int]) -> tuple[int, int]:
        """Stride between tiles of height and width `size`."""
        return int(size[0] * (1 - self.overlap_height)), int(size[1] * (1 - self.overlap_width))


def tiled_decode(
    model: VideoAutoencoder,
    params: Params,
    latents: Float[Array, "b f h w z"],
    tiling: Tiling | None = None,
) -> Float[Array, "b F H W 3"]:
    """`VideoAutoencoder.decode` in tiles (`Tiling.of(model.config)` unless given); no tiles if one would hold all."""
    pieces = tiled_decode_pieces(model, params, [latents], latents.shape[1], tiling)
    return jnp.concatenate(list(pieces), axis=1)


def tiled_decode_pieces(
    model: VideoAutoencoder,
    params: Params,
    pieces: Iterable[Float[Array, "b f h w z"]],
    total: int,
    tiling: Tiling | None = None,
) -> Iterator[Float[Array, "b F H W 3"]]:
    """`tiled_decode` of the `total` latent frames of a video that come in pieces of any lengths, with its values.

    Each piece is decoded tile by tile; until the next piece, the caches of the tiles are on the host.
    """
    tiling = tiling or Tiling.of(model.config)
    decoders: dict[int, ChunkDecoder] = defaultdict(lambda: ChunkDecoder(model, params))
    done = 0
    for chunks in chunks_of(pieces, total):
        if not chunks:
            continue
        edges = list(itertools.accumulate((chunk.shape[1] for chunk in chunks), initial=0))
        done += edges[-1]
        run = partial(_decode_tile, decoders, itertools.count(), edges, rest=done < total)
        yield _tiled(
            run,
            jnp.concatenate(chunks, axis=1),
            tiling.cells(model.config),
            (tiling.height, tiling.width),
            tiling,
        )


def _decode_tile(
    decoders: dict[int, ChunkDecoder], numbers: Iterator[int], edges: list[int], tile: Array, *, rest: bool
) -> Array:
    """Decodes the next tile in chunks, from edge to edge."""
    number = next(numbers)
    decode = decoders[number]
    video = jnp.concatenate(
        [decode(tile[:, start:stop]) for start, stop in itertools.pairwise(edges)], axis=1
    )
    if rest:
        decode.rest()
    else:
        del decoders[number]
    return video


def tiled_encode(
    model: VideoAutoencoder,
    params: Params,
    video: Float[Array, "b F H W 3"],
    tiling: Tiling | None = None,
) -> tuple[Float[Array, "b f h w z"], Float[Array, "b f h w z"]]:
    """`VideoAutoencoder.encode` in tiles (`Tiling.of(model.config)` unless given); no tiles if one would hold all."""
    check_video_shape(video.shape, model.config)
    tiling = tiling or Tiling.of(model.config)

    def run(tile: Array) -> Array:
        if min(tile.shape[2:4]) < model.config.spatial_compression_ratio:
            raise UserError(
                f"tiles of {tiling.height}x{tiling.width} on {video.shape[2]}x{video.shape[3]} leave one of "
                f"{tile.shape[2]}x{tile.shape[3]} at the edge, less than a latent cell: choose another size"
            )
        pieces = encode_pieces(model, params, tile, ENCODE_CHUNK)
        return jnp.concatenate([jnp.concatenate(moments, axis=-1) for moments in pieces], axis=1)

    moments = _tiled(run, video, (tiling.height, tiling.width), tiling.cells(model.config), tiling)
    mean, logvar = jnp.split(moments, 2, axis=-1)
    return mean, logvar


def _tiled(
    run: Callable[[Array], Array],
    x: Array,
    size: tuple[int, int],
    out_size: tuple[int, int],
    tiling: Tiling,
) -> Array:
    """Runs `run` on tiles of `size` of x, and blends its outputs, tiles of `out_size`."""
    if x.shape[2] <= size[0] and x.shape[3] <= size[1]:
        return run(x)
    overlaps = (tiling.overlap_height, tiling.overlap_width)
    stride = tiling.stride(size)
    blend = [int(n * overlap) for n, overlap in zip(out_size, overlaps, strict=True)]
    keep = [n - b for n, b in zip(out_size, blend, strict=True)]
    if min(stride) < 1:
        raise UserError(f"tile of {tiling.height}x{tiling.width}: too small to overlap; make it larger")
    rows: list[Array] = []
    above: list[Array] = []
    for top in range(0, x.shape[2], stride[0]):
        kept, below, left_edge = [], [], None
        for number, left in enumerate(range(0, x.shape[3], stride[1])):
            # Dispatch is asynchronous, and two tiles at once would take twice the memory.
            tile = jax.block_until_ready(run(x[:, :, top : top + size[0], left : left + size[1]]))
            if above:
                tile = _blend(above[number], tile, blend[0], axis=2)
            if left_edge is not None:
                tile = _blend(left_edge, tile, blend[1], axis=3)
            # Of a tile only its own region and the overlaps for its neighbours are kept.
            below.append(_last(tile, blend[0], axis=2))
            left_edge = _last(tile, blend[1], axis=3)
            kept.append(tile[:, :, : keep[0], : keep[1]])
        rows.append(jnp.concatenate(kept, axis=3))
        above = below
    return jnp.concatenate(rows, axis=2)


def _last(x: Array, count: int, axis: int) -> Array:
    """The last `count` lines of an axis, or all if there are fewer."""
    return jax.lax.slice_in_dim(x, max(x.shape[axis] - count, 0), x.shape[axis], axis=axis)


def _blend(before: Array, tile: Array, extent: int, axis: int) -> Array:
    """`tile` with its first `extent` lines faded in from the last ones of its neighbour `before`."""
    extent = min(before.shape[axis], tile.shape[axis], extent)
    if not extent:
        return tile
    shape = [1] * tile.ndim
    shape[axis] = extent
    weight = (jnp.arange(extent) / extent).reshape(shape)
    last = _last(before, extent, axis)
    head, rest = jnp.split(tile, [extent], axis)
    return jnp.concatenate([last * (1 - weight) + head * weight, rest], axis)
