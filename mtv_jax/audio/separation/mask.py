"""Separates effects from music by the effects mask (`mtv_jax.models.effects_mask`), which was trained here."""

import functools
import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.audio.separation.base import Context, ModelCard
from mtv_jax.io.audio import fit_length, resample
from mtv_jax.io.files import sha256
from mtv_jax.models.effects_mask import (
    BINS,
    HOP,
    SAMPLE_RATE,
    EffectsMask,
    levels,
    reach,
    spectrum,
    waveform,
)
from mtv_jax.typing import Array, Float
from mtv_jax.weights.pretrained import load_model

_BLOCK = 512
"""Windows (8 s) whose mask is computed at once, so that the network is compiled for one length."""
_TOP = 32
"""Highest bins (from 7 kHz on), whose mean mask is that of all that lies above the network's band."""


@dataclass(frozen=True)
class LearnedMask:
    """Multiplies a spectrum by the share of effects in each bin, the same for all channels.

    What lies above the network's band (8 kHz) is multiplied by the mask of the highest bins. The leaks were chosen by
    `benchmarks/separators.py`, on mixes that are not those it reports.
    """

    context = Context(past=2, future=2)
    leak_db = {"effects": 19.0, "music": 18.0}  # noqa: RUF012 (a constant)

    def card(self) -> ModelCard:
        """See `Splitter`."""
        return ModelCard("effects mask", "1", "Apache-2.0", _weights_hash(), "learned here")

    def effects(self, rest: Float[np.ndarray, "_ c"], sample_rate: int) -> Float[np.ndarray, "_ c"]:
        """The effects, float32 [s, channels]."""
        low = resample(rest, sample_rate, SAMPLE_RATE)
        # Between mirror images, since music that begins at once would be heard as a strike.
        margin = reach(_load()[0].config) * HOP
        padded = np.pad(low, ((margin, margin), (0, 0)), mode="symmetric")
        spectra = np.stack([spectrum(channel) for channel in padded.T])
        mask = effects_mask(np.mean(np.abs(spectra) ** 2, axis=0))
        effects = np.stack([waveform(one * mask, len(padded)) for one in spectra], axis=1)
        effects = effects[margin : margin + len(low)]
        if sample_rate == SAMPLE_RATE:
            return effects
        high = rest - fit_length(resample(low, SAMPLE_RATE, sample_rate), len(rest))
        gain = _gain(mask[margin // HOP :], len(rest), sample_rate)
        return fit_length(resample(effects, SAMPLE_RATE, sample_rate), len(rest)) + high * gain


def effects_mask(power: Float[np.ndarray, "T k"]) -> Float[np.ndarray, "T k"]:
    """The share of effects, 0 to 1, in each bin of squared spectra (`mtv_jax.models.effects_mask.spectrum`)."""
    model, params = _load()
    margin = reach(model.config)
    count = -(-len(power) // _BLOCK) * _BLOCK
    heard = np.zeros((count + 2 * margin, BINS), np.float32)
    heard[margin : margin + len(power)] = np.asarray(levels(jnp.asarray(power[:, :BINS])))
    blocks = [_shares(model, params, heard[i : i + _BLOCK + 2 * margin]) for i in range(0, count, _BLOCK)]
    mask = np.concatenate([np.asarray(block)[margin:-margin] for block in blocks])[: len(power)]
    return np.concatenate([mask, mask[:, -1:]], axis=1)


def _gain(mask: np.ndarray, num_samples: int, sample_rate: int) -> np.ndarray:
    """The mask of the highest bins at each sample, [s, 1]: window i is centred i * HOP samples into the sound."""
    shares = mask[:, -_TOP:].mean(axis=1)
    times = np.arange(num_samples) * (SAMPLE_RATE / sample_rate / HOP)
    return np.interp(times, np.arange(len(shares)), shares)[:, None].astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _shares(model: EffectsMask, params: Any, levels: Array) -> Array:
    logits: Array = model.apply(params, levels[None])  # pyright: ignore[reportAssignmentType]
    return jax.nn.sigmoid(logits[0])


def _folder() -> Path:
    return Path(str(importlib.resources.files("mtv_jax.assets"))) / "effects_mask"


@functools.cache
def _load() -> tuple[EffectsMask, Any]:
    model, params = load_model(_folder())
    assert isinstance(model, EffectsMask)
    return model, params


@functools.cache
def _weights_hash() -> str:
    return sha256(_folder() / "model.safetensors")
