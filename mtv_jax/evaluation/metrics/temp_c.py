"""Temp-C: are neighbouring frames alike? 100 times the mean cosine of their CLIP features.

A frozen video scores 100, so that the score means little without a measure of motion beside it.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from mtv_jax.evaluation.batches import in_batches
from mtv_jax.evaluation.metrics.base import Measured, video_mean, video_metric
from mtv_jax.evaluation.metrics.cosine import cosines
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.io.errors import UserError
from mtv_jax.models.clip import CLIP, CLIPConfig, clip_pixels
from mtv_jax.typing import Array, Float, Params, UInt8

_BATCH = 16
"""Frames at a time."""
_NAMED = {"vit_b32": CLIPConfig.vit_b32, "vit_l14": CLIPConfig.vit_l14}


@dataclass(frozen=True)
class Continuity:
    """The score of a video (at most 100), of how many frames, and whether all of them are the same picture."""

    score: float
    frames: int
    frozen: bool


def temp_c(
    frames: UInt8[np.ndarray, "F H W 3"], model: CLIP, params: Params, *, batch: int = _BATCH
) -> Continuity:
    """Temp-C of all frames of a video. Raises UserError for fewer than two frames."""
    if len(frames) < 2:
        raise UserError(f"video of {len(frames)} frames: Temp-C compares neighbours, so it needs at least 2")
    features = frame_features(frames, model, params, batch=batch)
    return Continuity(continuity(features), len(frames), bool(np.all(frames == frames[0])))


def continuity(features: Float[np.ndarray, "F d"]) -> float:
    """100 times the mean cosine of each frame's features and the next one's. Raises UserError as `cosines` does."""
    return 100 * float(cosines(features[:-1], features[1:]).mean())


def frame_features(
    frames: UInt8[np.ndarray, "F H W 3"], model: CLIP, params: Params, *, batch: int = _BATCH
) -> Float[np.ndarray, "F d"]:
    """CLIP's features of frames, prepared as by transformers, `batch` at a time."""
    size = model.config.vision.image_size

    def apply(part: np.ndarray) -> Array:
        return _image_features(model, params, clip_pixels(part, size))

    return in_batches(apply, frames, batch)


@functools.partial(jax.jit, static_argnums=0)
def _image_features(model: CLIP, params: Params, pixels: Float[Array, "b H W 3"]) -> Float[Array, "b d"]:
    return model.apply(params, pixels, method="image_features")  # pyright: ignore[reportReturnType]


def variant(config: CLIPConfig) -> str:
    """The name of results with this network, such as `temp_c_clip_vit_b32`; only those of one name are comparable."""
    for name, make in _NAMED.items():
        if config.vision == make().vision:
            return f"temp_c_clip_{name}"
    vision = config.vision
    return f"temp_c_clip_{vision.hidden_size}x{vision.num_hidden_layers}_p{vision.patch_size}_{vision.image_size}"


def _figures(rows: Sequence[Measured]) -> list[Figure]:
    if not rows:
        return []
    values = [(row.group, row.values["score"]) for row in rows]
    frozen = sum(row.values["frozen"] for row in rows)
    return [*video_mean("temp_c.score", values), Figure("temp_c.frozen", float(frozen), len(rows))]


TEMP_C = video_metric(_figures)
"""The mean score of videos, and how many of them are frozen."""
