"""One door to every audio encoder: a waveform and video frames in, features per frame out."""

import dataclasses
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np

from mtv_jax.audio.tracks import Tracks
from mtv_jax.io.errors import UserError
from mtv_jax.models.mel import MelConfig, log_mel_features


@runtime_checkable
class AudioEncoder(Protocol):
    """Turns mono sound at 16 kHz into features of the video frames it goes with."""

    @property
    def name(self) -> str:
        """As written to manifests."""
        ...

    @property
    def num_layers(self) -> int:
        """L: layers, or sub-frames a frame."""
        ...

    @property
    def num_channels(self) -> int:
        """C."""
        ...

    @property
    def needs_full_audio(self) -> bool:
        """Whether the features of a clip depend on the sound behind it, so that it wants the whole file."""
        ...

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        """Features of float32 [s] at 16 kHz for F = `num_frames` frames: float32 [F, L, C]."""
        ...


def track_features(
    encoder: AudioEncoder, tracks: Tracks, num_frames: int, fps: float | Fraction
) -> dict[str, np.ndarray]:
    """Features [F, L, C] of every track by its name, frame i being heard at i / fps seconds.

    Raises UserError, naming the track, if its sound or what is made of it is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        features = {name: encoder(samples, num_frames, fps) for name, samples in tracks.items()}
    for name, samples in tracks.items():
        if not (np.isfinite(samples).all() and np.isfinite(features[name]).all()):
            raise UserError(f"{name}: its sound has samples that are not finite, or too large to be a sound")
    return features


def mel_encoder(config: MelConfig) -> AudioEncoder:
    """The encoder without weights: log-mel levels (`models.mel`)."""
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
