"""The wav2vec 2.0 speech encoder and the preparation of its input."""

from mtv_jax.models.wav2vec2.config import Wav2Vec2Config
from mtv_jax.models.wav2vec2.model import Wav2Vec2
from mtv_jax.models.wav2vec2.preprocess import normalise_waveform, num_video_frames, pad_as_released

__all__ = ["Wav2Vec2", "Wav2Vec2Config", "normalise_waveform", "num_video_frames", "pad_as_released"]
