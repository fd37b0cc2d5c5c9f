"""Keyframes: pictures that the video has at given frames."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from mtv_jax.data.transforms import resize_crop, resize_pad, to_unit
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.pictures import read_image
from mtv_jax.pipelines.timeline.plan import KeyframeFit
from mtv_jax.typing import Array, Float, Params

Picture = str | os.PathLike | np.ndarray


def keyframe_latents(
    keyframes: Mapping[int, Picture],
    vae: Any,
    params: Params,
    clip: ClipSize,
    fit: KeyframeFit = "crop",
) -> dict[int, Float[Array, "h w c"]]:
    """Clean latents (normalised) by latent frame, of pictures at frames of a video.

    A latent frame after the first stands for as many frames as the autoencoder joins in time (four), so a picture
    there holds for all of them. Pictures of another shape are fitted: `crop` fills the frame, `pad` shows all of the
    picture on black. Raises UserError for a frame outside the video, for two pictures in one latent frame, and for
    what is not a picture.
    """
    ratio = vae.config.temporal_compression_ratio
    cells: dict[int, Array] = {}
    for frame, picture in keyframes.items():
        if not 0 <= frame < clip.num_frames:
            raise UserError(f"keyframe {frame}: the video has frames 0 to {clip.num_frames - 1}")
        index = -(-frame // ratio)
        if index in cells:
            raise UserError(f"keyframe {frame}: another keyframe is within the same {ratio} frames")
        still = to_unit(_FITS[fit](_pixels(frame, picture)[None], clip.height, clip.width))
        # Frame 0 has a separate latent; for other frames, the second latent of a still clip is used.
        video = np.repeat(still, 1 if index == 0 else 1 + ratio, axis=0)
        cells[index] = _encode(vae, params, video[None])[0, -1]
    return cells


_FITS = {"crop": resize_crop, "pad": resize_pad}


def _pixels(frame: int, picture: Picture) -> np.ndarray:
    """uint8 [H W 3] of a file (`mtv_jax.io.pictures`) or of an array."""
    if isinstance(picture, (str, os.PathLike)):
        return read_image(picture)
    pixels = np.asarray(picture)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UserError(
            f"keyframe {frame}: is {pixels.dtype} of the shape {pixels.shape}; an array must be uint8 [H, W, 3]"
        )
    return pixels


@partial(jax.jit, static_argnums=0)
def _encode(vae: Any, params: Params, video: Array) -> Array:
    mean, _ = vae.apply(params, video, method="encode")
    return vae.normalise(mean)
