"""Preprocessing of waveforms: normalisation, and the padding of the released code."""

import math

import numpy as np

from mtv_jax.names import TRACK_RATE
from mtv_jax.typing import Float


def normalise_waveform(waveform: Float[np.ndarray, "s"]) -> Float[np.ndarray, "s"]:
    """Zero mean and unit variance over the whole track: `(x - mean) / sqrt(var + 1e-7)`, float32.

    The constant is on the variance (transformers `Wav2Vec2FeatureExtractor`), so a nearly silent
    track is amplified, but digital silence stays zero.
    """
    x = np.asarray(waveform, np.float64)
    return ((x - x.mean()) / np.sqrt(x.var() + 1e-7)).astype(np.float32)


def num_video_frames(num_samples: int, fps: float) -> int:
    """Video frames that `num_samples` at 16 kHz span: the last may be covered only partly."""
    return math.ceil(num_samples / TRACK_RATE * fps)


def pad_as_released(
    normalised: Float[np.ndarray, "s"], fps: float, clip_length: int
) -> tuple[Float[np.ndarray, "p"], int]:
    """A normalised waveform padded to whole clips as MTV's released inference does, and its frames.

    Frames are appended until `(F - 1) % (clip_length - 1) == 0`, each by `16000 // fps` zeros. That
    rounds down (666 samples in place of 666.67 at 24 fps), and the encoder's `num_frames` = F then
    stretches its features over the padded sound: a padded clip runs slightly off time.
    """
    frames = num_video_frames(len(normalised), fps)
    missing = -(frames - 1) % (clip_length - 1)
    padding = missing * int(TRACK_RATE // fps)
    return np.pad(np.asarray(normalised, np.float32), (0, padding)), frames + missing
