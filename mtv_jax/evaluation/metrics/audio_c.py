"""Audio-C: does the sound fit the video? 100 times the cosine of their ImageBind embeddings.

MTV's paper names neither network nor views; both are those of ImageBind's own loader for videos and sounds.
"""

import numpy as np

from mtv_jax.evaluation.imagebind import sound_embedding, video_embedding
from mtv_jax.evaluation.metrics.cosine import cosines
from mtv_jax.evaluation.metrics.scores import mean_score
from mtv_jax.models.imagebind import ImageBind
from mtv_jax.typing import Float, Params, UInt8


def audio_c(
    frames: UInt8[np.ndarray, "F H W 3"],
    fps: float,
    sound: Float[np.ndarray, "s c"],
    sample_rate: int,
    model: ImageBind,
    params: Params,
) -> float:
    """Audio-C of a video and its sound, -100 to 100.

    `frames` are all those of the file, at its own rate. Raises UserError for a video without frames and for sound of
    less than 25 ms.
    """
    video = video_embedding(frames, fps, model, params)
    return fit(video, sound_embedding(sound, sample_rate, model, params))


def fit(video: Float[np.ndarray, "e"], sound: Float[np.ndarray, "e"]) -> float:
    """100 times the cosine of two embeddings, each the mean over its clips. Raises UserError as `cosines` does."""
    return 100 * float(cosines(video[None], sound[None])[0])


AUDIO_C = mean_score("audio_c.score")
"""The mean score of videos."""
