"""wav2vec 2.0 as an audio encoder: the outputs of all layers, aligned to video frames."""

import dataclasses
import functools
from fractions import Fraction
from typing import Any, Literal

import jax
import numpy as np

from mtv_jax.io.audio import fit_length
from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.models.wav2vec2 import Wav2Vec2, normalise_waveform, num_video_frames, pad_as_released
from mtv_jax.names import TRACK_RATE
from mtv_jax.typing import Params

Alignment = Literal["exact", "released"]


@dataclasses.dataclass(frozen=True, eq=False)
class Wav2Vec2Encoder:
    """Features [F, layers, d] (MTV's encoder for all tracks). Compiled once for each length of the sound.

    Attributes:
      alignment: how features are aligned to frames.
        `exact`: the sound is cut or padded with zeros to F / fps seconds and normalised over the clip; a frame has the
        features at its middle, (i + 1/2) / fps seconds.
        `released`: like MTV's released inference code. The whole sound is normalised and encoded at once. Frames
        are padded to whole clips with `16000 // fps` zeros each, then the features are stretched over all of
        them, so that a padded clip drifts slightly.
      clip_length: frames per clip for `released` (neighbouring clips share one); None: no padding.
    """

    model: Wav2Vec2
    params: Params
    alignment: Alignment = "exact"
    clip_length: int | None = 49
    name: str = "wav2vec2"

    def __post_init__(self) -> None:
        if self.alignment not in ("exact", "released"):
            raise UserError(f"alignment {self.alignment!r}: must be exact or released")
        if self.clip_length is not None:
            check_whole("clip_length", self.clip_length, least=2, most=2**17)

    @property
    def num_layers(self) -> int:
        """L."""
        return self.model.config.num_hidden_layers

    @property
    def num_channels(self) -> int:
        """C."""
        return self.model.config.hidden_size

    @property
    def needs_full_audio(self) -> bool:
        """The released code normalises and encodes the whole file."""
        return self.alignment == "released"

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        """Features of float32 [s] at 16 kHz for F = `num_frames` frames: float32 [F, layers, d]."""
        fps, waveform = Fraction(fps), np.asarray(waveform, np.float32)
        frames, positions = None, None
        if self.needs_full_audio:
            samples, frames = self._released(waveform, num_frames, fps)
        else:
            samples, positions = self._exact(waveform, num_frames, fps)
        samples = fit_length(samples, max(len(samples), self.model.config.receptive_field))
        states = _layers(self.model, self.params, samples[None], frames, positions)
        return np.asarray(states, np.float32)[:num_frames]

    def _exact(self, waveform: np.ndarray, num_frames: int, fps: Fraction) -> tuple[np.ndarray, np.ndarray]:
        """The sound of the clip, and where the middles of frames are among the features of the convolutions."""
        length, config = round(num_frames / fps * TRACK_RATE), self.model.config
        middles = (np.arange(num_frames) + 0.5) * float(TRACK_RATE / fps)
        positions = (middles - (config.receptive_field - 1) / 2) / config.hop
        return fit_length(_normalise(waveform[:length]), length), positions.astype(np.float32)

    def _released(self, waveform: np.ndarray, num_frames: int, fps: Fraction) -> tuple[np.ndarray, int]:
        samples, step = _normalise(waveform), 1
        frames = num_video_frames(len(samples), float(fps))
        if self.clip_length is not None:
            samples, frames = pad_as_released(samples, float(fps), self.clip_length)
            step = self.clip_length - 1
        missing = -(-max(num_frames - frames, 0) // step) * step
        return np.pad(samples, (0, missing * int(TRACK_RATE // fps))), frames + missing


@functools.partial(jax.jit, static_argnums=(0, 3))
def _layers(
    model: Wav2Vec2, params: Params, waveform: jax.Array, num_frames: int | None, positions: jax.Array | None
) -> jax.Array:
    states: Any = model.apply(params, waveform, num_frames, positions)
    return states[0, 1:].swapaxes(0, 1)


def _normalise(waveform: np.ndarray) -> np.ndarray:
    return normalise_waveform(waveform) if len(waveform) else waveform
