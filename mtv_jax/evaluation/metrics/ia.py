"""IA: do the frames fit the sound? The mean cosine of each frame's and the sound's ImageBind embeddings (Maestro)."""

import numpy as np

from mtv_jax.evaluation.imagebind import frame_embeddings, sound_embedding
from mtv_jax.evaluation.metrics.cosine import cosines
from mtv_jax.evaluation.metrics.scores import mean_score
from mtv_jax.models.imagebind import ImageBind
from mtv_jax.typing import Float, Params, UInt8


def ia(
    frames: UInt8[np.ndarray, "F H W 3"],
    sound: Float[np.ndarray, "s c"],
    sample_rate: int,
    model: ImageBind,
    params: Params,
) -> float:
    """IA of a video and its sound, -1 to 1. Raises UserError without frames and for sound of less than 25 ms."""
    embeddings = frame_embeddings(frames, model, params)
    return agreement(embeddings, sound_embedding(sound, sample_rate, model, params))


def agreement(frames: Float[np.ndarray, "F e"], sound: Float[np.ndarray, "e"]) -> float:
    """The mean cosine of the embeddings of frames with that of a sound. Raises UserError as `cosines` does."""
    return float(cosines(frames, np.broadcast_to(sound, frames.shape)).mean())


IA = mean_score("ia.score")
"""The mean score of videos."""
