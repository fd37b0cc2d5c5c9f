"""Embeddings of videos, sounds and frames by ImageBind, prepared as in the original."""

import functools

import jax
import numpy as np

from mtv_jax.evaluation.batches import in_batches
from mtv_jax.models.imagebind import ImageBind, ImageBindConfig, audio_clips, image_pixels, video_views
from mtv_jax.typing import Array, Float, Params, UInt8

_BATCH = 16
"""Frames at a time."""


def video_embedding(
    frames: UInt8[np.ndarray, "F H W 3"], fps: float, model: ImageBind, params: Params
) -> Float[np.ndarray, "e"]:
    """The mean embedding of 15 views of a video: five clips of two frames, three squares of each.

    `frames` are all those of the file, at its own rate. Raises UserError for a video without frames.
    """
    views = video_views(frames, fps, model.config.image_size)
    return np.asarray(_embed(model, "encode_vision", params, views)).mean(0)


def sound_embedding(
    sound: Float[np.ndarray, "s c"], sample_rate: int, model: ImageBind, params: Params
) -> Float[np.ndarray, "e"]:
    """The mean embedding of three clips of a sound of full scale +-1; its first channel is heard.

    Raises UserError for sound of less than 25 ms.
    """
    return np.asarray(_embed(model, "encode_audio", params, audio_clips(sound, sample_rate))).mean(0)


def frame_embeddings(
    frames: UInt8[np.ndarray, "F H W 3"], model: ImageBind, params: Params, *, batch: int = _BATCH
) -> Float[np.ndarray, "F e"]:
    """The embedding of each frame as a picture, `batch` at a time."""

    def apply(part: np.ndarray) -> Array:
        return _embed(model, "encode_vision", params, image_pixels(part, model.config.image_size))

    return in_batches(apply, frames, batch)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _embed(
    model: ImageBind, method: str, params: Params, inputs: Float[Array, "b ..."]
) -> Float[Array, "b e"]:
    return model.apply(params, inputs, method=method).embedding  # pyright: ignore[reportAttributeAccessIssue]


def variant(metric: str, config: ImageBindConfig) -> str:
    """The name of a metric's results with this network; only those of one name are comparable."""
    if config == ImageBindConfig.huge():
        return f"{metric}_imagebind_huge"
    trunks = (f"{trunk.width}x{trunk.num_layers}" for trunk in (config.vision, config.audio))
    return f"{metric}_imagebind_{'_'.join(trunks)}"
