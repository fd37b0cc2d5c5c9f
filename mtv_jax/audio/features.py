"""One door to every audio encoder: a waveform and video frames in, features per frame out."""

import dataclasses
import functools
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mtv_jax.audio.tracks import SAMPLE_RATE, Tracks
from mtv_jax.io.audio import fit_length
from mtv_jax.models.mel import MelConfig, log_mel_features

if TYPE_CHECKING:
    from mtv_jax.models.wav2vec2 import Wav2Vec2


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

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        """Features of float32 [s] at 16 kHz for F = `num_frames` frames: float32 [F, L, C]."""
        ...


def track_features(
    encoder: AudioEncoder, tracks: Tracks, num_frames: int, fps: float | Fraction
) -> dict[str, np.ndarray]:
    """Features [F, L, C] of `speech`, `effects` and `music`, frame i being heard at i / fps seconds."""
    return {name: encoder(samples, num_frames, fps) for name, samples in tracks.items()}


def mel_encoder(config: MelConfig) -> AudioEncoder:
    """The encoder without weights: log-mel levels (`models.mel`)."""
    return _MelEncoder(config)


def wav2vec2_encoder(model: "Wav2Vec2", params: Any) -> AudioEncoder:
    """wav2vec 2.0: the output of every layer, [F, layers, d] (MTV's encoder of all three tracks).

    Exact in time: the sound is cut or padded with zeros to F / fps seconds, and the features of the
    convolutions are stretched over the F frames. Each track is normalised over its part in the clip, before
    padding. Compiled once for each length.
    """
    return _Wav2Vec2Encoder(model, params)


@dataclasses.dataclass(frozen=True)
class _MelEncoder:
    config: MelConfig
    name: str = "log-mel"

    @property
    def num_layers(self) -> int:
        return self.config.subframes

    @property
    def num_channels(self) -> int:
        return self.config.bins

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        return log_mel_features(waveform, num_frames, fps, self.config)


@dataclasses.dataclass(frozen=True, eq=False)
class _Wav2Vec2Encoder:
    model: "Wav2Vec2"
    params: Any
    name: str = "wav2vec2"

    @property
    def num_layers(self) -> int:
        return self.model.config.num_hidden_layers

    @property
    def num_channels(self) -> int:
        return self.model.config.hidden_size

    @functools.cached_property
    def _apply(self):
        import jax

        return jax.jit(self.model.apply, static_argnums=2)

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        # Imported here: log-mel in a data worker should not have to load Flax.
        from mtv_jax.models.wav2vec2 import normalise_waveform

        length = round(num_frames / Fraction(fps) * SAMPLE_RATE)
        clip = np.asarray(waveform, np.float32)[:length]
        clip = normalise_waveform(clip) if len(clip) else clip
        clip = fit_length(clip, max(length, self.model.config.receptive_field))
        states = self._apply(self.params, clip[None], num_frames)
        return np.asarray(states[0, 1:].swapaxes(0, 1), np.float32)
