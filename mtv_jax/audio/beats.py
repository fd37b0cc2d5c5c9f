"""BEATs as an audio encoder: the outputs of all layers, aligned to video frames."""

import dataclasses
import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.io.audio import fit_length
from mtv_jax.models.beats import BEATs, FbankConfig, normalised_fbank
from mtv_jax.typing import Params

_SECTION = 64
"""Patches along time per section (10.24 s): BEATs was trained on clips of ten seconds."""
_HOP = 48
"""Step between sections; where two overlap, each patch comes from the section whose edge is farther away."""


@dataclasses.dataclass(frozen=True, eq=False)
class BEATsEncoder:
    """Features [F, layers, d] (for effects and music, MTV Table 4).

    The paper does not define features per frame. Here the alignment is exact: the sound is cut or padded with zeros to
    F / fps seconds, patches of the same time are averaged over frequency, and the value at the centre of each frame
    is interpolated between the centres of patches. Long sounds are encoded in sections.
    """

    model: BEATs
    params: Params
    bank: FbankConfig = dataclasses.field(default_factory=FbankConfig)
    name: str = "beats"
    needs_full_audio: bool = False

    @property
    def num_layers(self) -> int:
        """L."""
        return self.model.config.encoder_layers

    @property
    def num_channels(self) -> int:
        """C."""
        return self.model.config.encoder_embed_dim

    def __call__(self, waveform: np.ndarray, num_frames: int, fps: float | Fraction) -> np.ndarray:
        """Features of float32 [s] at 16 kHz for F = `num_frames` frames: float32 [F, layers, d]."""
        size, bank = self.model.config.input_patch_size, self.bank
        hop = size * bank.shift
        length = round(num_frames / Fraction(fps) * bank.sample_frequency)
        patches = -(-length // hop)
        clip = fit_length(np.asarray(waveform, np.float32)[:length], patches * hop + bank.window - bank.shift)
        states = self._encode(normalised_fbank(clip, bank), patches)
        middles = hop * np.arange(patches) + (hop + bank.window - bank.shift) / 2
        frames = (np.arange(num_frames) + 0.5) / float(fps) * bank.sample_frequency
        return _interpolate(states, (frames - middles[0]) / hop)

    def _encode(self, features: np.ndarray, patches: int) -> np.ndarray:
        """[t, bins] -> [patches, layers, d], section by section."""
        size = self.model.config.input_patch_size
        starts = np.append(np.arange(0, max(patches - _SECTION, 0), _HOP), max(patches - _SECTION, 0))
        length = min(_SECTION, patches)
        sections = [
            np.asarray(_layers(self.model, self.params, features[None, size * s : size * (s + length)]))
            for s in starts
        ]
        index = np.arange(patches)
        owner = np.abs(index[:, None] - (starts + (length - 1) / 2)).argmin(axis=1)
        return np.stack([sections[o][i - starts[o]] for i, o in zip(index, owner, strict=True)])


@functools.partial(jax.jit, static_argnums=0)
def _layers(model: BEATs, params: Params, features: jax.Array) -> jax.Array:
    """[1, t, bins] -> [patches along time, layers, d], the mean over patches along frequency."""
    config, states = model.config, jnp.asarray(model.apply(params, features))
    rows = features.shape[1] // config.input_patch_size
    states = states[0, 1:].reshape(config.encoder_layers, rows, -1, config.encoder_embed_dim)
    return states.mean(axis=2).swapaxes(0, 1)


def _interpolate(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolates rows of [n, ...] at fractional indices, linearly; constant beyond the ends."""
    position = np.clip(position, 0, len(values) - 1)
    left = np.minimum(position.astype(int), max(len(values) - 2, 0))
    right = np.minimum(left + 1, len(values) - 1)
    weight = (position - left).astype(np.float32)[:, None, None]
    return values[left] * (1 - weight) + values[right] * weight
