"""Text-C: does a video show what its text says? 100 times the cosine of their VideoCLIP-XL features."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from mtv_jax.evaluation.metrics.base import Measured, video_mean, video_metric
from mtv_jax.evaluation.metrics.cosine import cosines
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.io.errors import UserError
from mtv_jax.models.videoclip_xl import VideoCLIPXL, VideoCLIPXLConfig, video_pixels
from mtv_jax.text.clip_tokenizer import CLIPTokenizer
from mtv_jax.typing import Array, Float, Int, Params, UInt8


@dataclass(frozen=True)
class Likeness:
    """The score of a video (-100 to 100), and what the network did not see as it is.

    Attributes:
      score: 100 times the cosine.
      repeated: whether the video has fewer frames than the network takes, so that some were repeated.
      cut: whether the text has more tokens than the network takes, so that its end was not read.
    """

    score: float
    repeated: bool
    cut: bool


def text_c(
    frames: UInt8[np.ndarray, "F H W 3"],
    prompt: str,
    model: VideoCLIPXL,
    params: Params,
    tokenizer: CLIPTokenizer,
) -> Likeness:
    """Text-C of a video and its text. Raises UserError for a video without frames and for an empty text."""
    if not prompt.strip():
        raise UserError("text: is empty; Text-C compares a video with its text")
    cfg = model.config
    tokens, cut = tokenizer.encode([prompt], cfg.text.max_position_embeddings)
    pixels = video_pixels(frames, cfg.num_frames, cfg.vision.image_size)
    video = _video_features(model, params, pixels[None])
    text = _text_features(model, params, tokens)
    return Likeness(likeness(video, text), len(frames) < cfg.num_frames, bool(cut[0]))


def likeness(video: Float[Array, "1 d"], text: Float[Array, "1 d"]) -> float:
    """100 times the cosine of two features. Raises UserError as `cosines` does."""
    return 100 * float(cosines(np.asarray(video), np.asarray(text))[0])


@functools.partial(jax.jit, static_argnums=0)
def _video_features(
    model: VideoCLIPXL, params: Params, pixels: Float[Array, "b F H W 3"]
) -> Float[Array, "b d"]:
    return model.apply(params, pixels, method="video_features")  # pyright: ignore[reportReturnType]


@functools.partial(jax.jit, static_argnums=0)
def _text_features(model: VideoCLIPXL, params: Params, tokens: Int[Array, "b l"]) -> Float[Array, "b d"]:
    return model.apply(params, tokens, method="text_features")  # pyright: ignore[reportReturnType]


def variant(config: VideoCLIPXLConfig) -> str:
    """The name of results with this network; only those of one name are comparable."""
    if config == VideoCLIPXLConfig.xl():
        return "text_c_videoclip_xl"
    vision = config.vision
    return f"text_c_videoclip_xl_{vision.hidden_size}x{vision.num_hidden_layers}_p{vision.patch_size}"


def _figures(rows: Sequence[Measured]) -> list[Figure]:
    if not rows:
        return []
    counts = {
        "text_c.repeated": sum(row.values["repeated"] for row in rows),
        "text_c.cut": sum(row.values["cut"] for row in rows),
    }
    means = video_mean("text_c.score", [(row.group, row.values["score"]) for row in rows])
    return means + [Figure(identifier, float(count), len(rows)) for identifier, count in counts.items()]


TEXT_C = video_metric(_figures)
"""The mean score of videos, and how many videos and texts the network did not see as they are."""
