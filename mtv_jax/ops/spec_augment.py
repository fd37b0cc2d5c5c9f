"""SpecAugment (Park et al., 2019): spectrograms warped along time, with bands and intervals masked."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array, Bool, Float, Int, Key

_MOST = 2**10


@dataclass(frozen=True)
class SpecAugmentConfig:
    """How strongly spectrograms are changed. The defaults are ours: Maestro names warping and frequency masks only.

    Attributes:
      frequency_masks, frequency_mask_width: number of masks, and the most mel bands of each.
      time_warp: the most frames by which a frame is moved; 0: no warping.
      time_masks, time_mask_width: number of masks, and the most frames of each.
    """

    frequency_masks: int = 2
    frequency_mask_width: int = 27
    time_warp: int = 5
    time_masks: int = 0
    time_mask_width: int = 20

    def __post_init__(self) -> None:
        for name in ("frequency_masks", "frequency_mask_width", "time_warp", "time_masks", "time_mask_width"):
            check_whole(name, getattr(self, name), least=0, most=_MOST)

    @property
    def on(self) -> bool:
        """Whether it changes anything."""
        masks = (self.frequency_masks, self.frequency_mask_width), (self.time_masks, self.time_mask_width)
        return bool(self.time_warp) or any(count and width for count, width in masks)


def spec_augment(
    key: Key[Array, ""], mel: Float[Array, "n m t"], config: SpecAugmentConfig
) -> Float[Array, "n m t"]:
    """Spectrograms [mel bands, frames], each changed by draws of its own.

    First warped, then masked with 0, the mean of normalised spectrograms. Raises UserError for spectrograms with too
    few bands or frames for the config.
    """
    warp_key, band_key, frame_key = jax.random.split(key, 3)
    if config.time_warp:
        mel = time_warp(mel, *draw_warp(warp_key, mel.shape[0], mel.shape[2], config.time_warp))
    rows, bands, frames = mel.shape
    in_band = draw_masks(band_key, rows, bands, config.frequency_masks, config.frequency_mask_width)
    in_time = draw_masks(frame_key, rows, frames, config.time_masks, config.time_mask_width)
    return jnp.where(in_band[:, :, None] | in_time[:, None, :], 0.0, mel)


def draw_warp(
    key: Key[Array, ""], rows: int, frames: int, most: int
) -> tuple[Int[Array, "n"], Int[Array, "n"]]:
    """The frame that is moved in each row, more than `most` from both ends, and by how much: at most `most`.

    Raises UserError if there is no such frame.
    """
    if frames < 2 * most + 3:
        raise UserError(f"time_warp {most}: needs spectrograms of {2 * most + 3} frames, these have {frames}")
    centre_key, shift_key = jax.random.split(key)
    centre = jax.random.randint(centre_key, (rows,), most + 1, frames - most - 1)
    return centre, jax.random.randint(shift_key, (rows,), -most, most + 1)


def time_warp(
    mel: Float[Array, "n m t"], centre: Int[Array, "n"], shift: Int[Array, "n"]
) -> Float[Array, "n m t"]:
    """Moves the frame `centre` by `shift`. The first and the last frame stay; it is linear between these three."""
    last = mel.shape[2] - 1
    places = jnp.arange(last + 1, dtype=jnp.float32)
    start, end = centre[:, None].astype(jnp.float32), (centre + shift)[:, None].astype(jnp.float32)
    before = places * start / end
    after = last - (last - places) * (last - start) / (last - end)
    source = jnp.where(places <= end, before, after)
    low = jnp.clip(jnp.floor(source), 0, last - 1)
    share = (source - low)[:, None]
    at = low.astype(jnp.int32)[:, None]
    return (1 - share) * jnp.take_along_axis(mel, at, 2) + share * jnp.take_along_axis(mel, at + 1, 2)


def draw_masks(key: Key[Array, ""], rows: int, size: int, count: int, most: int) -> Bool[Array, "n s"]:
    """Which of `size` places are in one of `count` intervals, each of 0 to `most` places, anywhere.

    Raises UserError for intervals that may be longer than `size`.
    """
    if count and most > size:
        raise UserError(f"masks of up to {most}: spectrograms have {size} in that direction")
    width_key, place_key = jax.random.split(key)
    width = jax.random.randint(width_key, (rows, count, 1), 0, most + 1)
    start = jax.random.randint(place_key, (rows, count, 1), 0, size - width + 1)
    places = jnp.arange(size)
    return ((places >= start) & (places < start + width)).any(1)
