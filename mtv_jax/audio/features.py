"""The interface of all audio encoders: a waveform in, features per video frame out."""

import dataclasses
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np

from mtv_jax.audio.tracks import Tracks
from mtv_jax.io.errors import UserError
from mtv_jax.models.mel import MelConfig, log_mel_features


@runtime_checkable
class AudioEncoder(Protocol):
    """Encodes mono sound at 16 kHz to features for each video frame."""

    @property
    def name(self) -> str:
        """Name of the encoder in manifests."""
        ...

    @property
    def num_layers(self) -> int:
        """L: layers, or sub-frames per frame."""
        ...

    @property
    def num_channels(self) -> int:
        """C."""
        ...

    @property
    def needs_full_audio(self) -> bool:
        """Whether a clip's features depend on the sound after it, so that `encode` needs the whole file."""
        ...

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        """Features of float32 [s] at 16 kHz for F = `num_frames` frames: float32 [F, L, C]."""
        ...


def track_features(
    encoder: AudioEncoder, tracks: Tracks, num_frames: int, fps: float | Fraction
) -> dict[str, np.ndarray]:
    """Features [F, L, C] of each track by name; frame i starts at i / fps seconds.

    Raises UserError, naming the track, if its sound or features are not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        features = {name: encoder(samples, num_frames, fps) for name, samples in tracks.items()}
    for name, samples in tracks.items():
        if not (np.isfinite(samples).all() and np.isfinite(features[name]).all()):
            raise UserError(f"{name}: its sound has samples that are not finite, or implausibly large")
    return features


def mel_encoder(config: MelConfig) -> AudioEncoder:
    """An encoder without weights: log-mel levels (`models.mel`)."""
    return _MelEncoder(config)


@dataclasses.dataclass(frozen=True)
class _MelEncoder:
    config: MelConfig
    name: str = "log-mel"
    needs_full_audio: bool = False

    @property
    def num_layers(self) -> int:
        return self.config.subframes

    @property
    def num_channels(self) -> int:
        return self.config.bins

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        return log_mel_features(waveform, num_frames, fps, self.config)
