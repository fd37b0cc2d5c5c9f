"""AudioSep ("Separate Anything You Describe", Liu et al. 2023): any sound by CLAP's embedding of its description.

A mix of any length is separated in windows of 5 s, of which the inner 3 s are kept. They are those of AudioSep's
`chunk_inference`, which itself returns silence for a mix of 5 s or less.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from mtv_jax.audio.recognition import ClapEncoder, load_clap
from mtv_jax.audio.separation.base import ModelCard, Tracks, check_finite
from mtv_jax.audio.separation.by_text.base import check_words
from mtv_jax.io.audio import fit_length, resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, sha256
from mtv_jax.io.progress import progress
from mtv_jax.models.resunet import AudioSepResUNet
from mtv_jax.typing import Array, Float, Int, Params
from mtv_jax.weights.pretrained import load_model

SEPARATOR, CLAP = "separator", "clap"
"""Folders of the two networks."""
_BEFORE, _KEPT, _AFTER = 1.0, 3.0, 1.0
"""Seconds of a window: context, what is kept of it, and context."""
_LEAST = 0.1
"""Seconds to which a shorter mix is filled up with zeros, since the network mirrors half a spectrum at the ends."""


@dataclass(frozen=True)
class AudioSep:
    """Separates the sound of each description on its own, at the network's rate, the channels one by one.

    The result depends on nothing but the sound and the words. Beside the sound and its tracks, memory does not grow
    with the length: at full size on a CPU, separating takes 0.4 GB (`benchmarks/by_text.py`).

    Attributes:
      path: a folder with `separator/` and `clap/`, as `convert --from audiosep` writes it, with RoBERTa's
        `tokenizer.json` added to `clap/`.
    """

    path: str

    def card(self) -> ModelCard:
        """See `SeparatorByText`. Version and hashes are those of the separator and of CLAP."""
        return ModelCard("AudioSep", self._folder.name, "MIT AND CC0-1.0", _hashes(self._folder), "real")

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int, words: Sequence[str]) -> Tracks:
        """See `SeparatorByText`."""
        check_words(words)
        check_finite(samples)
        networks = _load(self._folder)
        rate = networks.separator.config.sample_rate
        mix = resample(samples, sample_rate, rate)
        tracks = {}
        for word, condition in zip(words, networks.clap.text_embeddings(words), strict=True):
            separate = partial(apply_window, networks.separator, networks.params, condition[None])
            track = separate_windows(separate, mix, rate, word)
            tracks[word] = fit_length(resample(track, rate, sample_rate), len(samples))
        return tracks

    @property
    def _folder(self) -> Path:
        return existing_directory(self.path)


class Window(NamedTuple):
    """Samples `start` to `stop` of a mix are separated at once, and `first` to `last` of them are kept."""

    start: int
    stop: int
    first: int
    last: int


def windows(length: int, sample_rate: int) -> list[Window]:
    """The windows of a mix of so many samples. What they keep is in order and without gaps."""
    before, kept, after = (round(seconds * sample_rate) for seconds in (_BEFORE, _KEPT, _AFTER))
    found, start, stop = [], 0, -1
    while stop < length:
        stop = min(start + before + kept + after, length)
        last = length if stop == length else start + before + kept
        found.append(Window(start, stop, start + before if start else 0, last))
        start += kept
    return found


def separate_windows(
    separate: Callable[[Float[np.ndarray, "1 w"], Int[np.ndarray, "1"]], Float[Array, "1 w"]],
    mix: Float[np.ndarray, "s c"],
    sample_rate: int,
    description: str,
) -> Float[np.ndarray, "s c"]:
    """A sound in a mix, each channel on its own.

    Args:
      separate: (window filled up with zeros to 5 s, its samples) -> the sound in it. As all windows have one shape, it
        is compiled once.
      mix: at the network's rate.
      sample_rate: Hz.
      description: of the sound, for the progress bar of a mix of several windows.
    """
    size, least = round((_BEFORE + _KEPT + _AFTER) * sample_rate), round(_LEAST * sample_rate)
    todo, track = windows(len(mix), sample_rate), np.empty_like(mix)
    shown = progress(todo, f"separating {description}") if len(todo) > 1 else todo
    for start, stop, first, last in shown:
        length = np.array([max(stop - start, least)])
        for channel in range(mix.shape[1]):
            sound = fit_length(mix[start:stop, channel], size)
            found = np.asarray(separate(sound[None], length))[0]
            track[first:last, channel] = found[first - start : last - start]
    return track


class _Networks(NamedTuple):
    separator: AudioSepResUNet
    params: Params
    clap: ClapEncoder


@lru_cache(maxsize=1)
def _load(folder: Path) -> _Networks:
    """Raises UserError unless the folder holds both networks and they fit together."""
    separator, params = load_model(folder / SEPARATOR)
    if not isinstance(separator, AudioSepResUNet):
        raise UserError(f"{folder / SEPARATOR}: a {type(separator).__name__}, not AudioSep's network")
    clap = load_clap(folder / CLAP)
    needed, given = separator.config.condition_size, clap.text_config.projection_dim
    if needed != given:
        raise UserError(
            f"{folder}: {SEPARATOR}/ takes embeddings of {needed} numbers, {CLAP}/ gives {given}; "
            "they do not belong together"
        )
    return _Networks(separator, params, clap)


@lru_cache(maxsize=1)
def _hashes(folder: Path) -> str:
    """SHA-256 of the weight files. Raises UserError if a network has none."""
    hashes = []
    for part in (folder / SEPARATOR, folder / CLAP):
        files = sorted(part.glob("*.safetensors"))
        if not files:
            raise UserError(f"{part}: no .safetensors file in it; AudioSep needs its weights there")
        hashes += map(sha256, files)
    return "+".join(hashes)


@partial(jax.jit, static_argnums=0)
def apply_window(
    model: AudioSepResUNet,
    params: Params,
    condition: Float[Array, "1 d"],
    mixture: Float[Array, "1 s"],
    lengths: Int[Array, "1"],
) -> jax.Array:
    """The network (`AudioSepResUNet`), compiled."""
    return model.apply(params, mixture, condition, lengths)  # pyright: ignore[reportReturnType]
