"""MVSEP-CDX23: three stems by Demucs 4 networks that were trained on mixes of speech, effects and music (DnR).

The weights are given by path; their repository (ZFTurbo/MVSEP-CDX23-Cinematic-Sound-Demixing) states no licence.
A sound is separated as the released inference does it, by demucs' `apply_model` with an overlap of .8, several networks
averaged, and neither mean nor level of the mix normalised; but without its random shift of up to half a second, so that
the same sound always gives the same tracks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from mtv_jax.audio.separation.base import Context, ModelCard, Tracks, by_channels
from mtv_jax.io.audio import fit_length, resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, sha256
from mtv_jax.models.htdemucs import HTDemucsConfig
from mtv_jax.names import TRACKS
from mtv_jax.typing import Array, Float, Params
from mtv_jax.weights.demucs_files import demucs_config, load_demucs
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.pretrained import load_config, load_model

_OVERLAP = 0.8
"""Of neighbouring segments: every sample is separated five times."""
_SECTION_SECONDS = 60.0
_SHARE_SECONDS = 0.05
"""Window in which the power of a stem decides on its share of the remainder."""
_TINY = 1e-10
_TRACK_OF = {
    "music": "music",
    "sfx": "effects",
    "effect": "effects",
    "effects": "effects",
    "speech": "speech",
    "dialog": "speech",
}
"""Track by the name of a network's source; those of the released checkpoints are music, sfx and speech."""


@dataclass(frozen=True)
class Network:
    """A network as a function: `stems(mix [1 s c]) -> [1 S s c]` at its own sample rate and length."""

    config: HTDemucsConfig
    stems: Callable[[np.ndarray], jax.Array]

    @property
    def stride(self) -> int:
        """Samples from one segment to the next."""
        return int((1 - _OVERLAP) * self.config.segment_samples)


@dataclass(frozen=True)
class CDX23:
    """Separates speech, effects and music.

    Attributes:
      path: a checkpoint of demucs (`.th`), a folder of several, which are averaged, or a folder with the `config.json`
        and weights of one, as `convert --from demucs` writes it.
    """

    path: str

    tracks = TRACKS
    leak_db = dict.fromkeys(TRACKS)

    @property
    def context(self) -> Context:
        """Sections of a minute, with all segments around it.

        Lengths are multiples of the distance of segments, so that segments lie alike in all sections.
        """
        first = self._networks[0]
        stride, rate = first.stride, first.config.samplerate
        needed = first.config.segment_samples + round(_SHARE_SECONDS / 2 * rate)
        section = max(1, round(_SECTION_SECONDS * rate / stride)) * stride
        return Context(section / rate, (needed - 1) // stride * stride / rate, needed / rate)

    def cards(self) -> dict[str, ModelCard]:
        """See `Separator`; the names and hashes of several files are joined by plus signs."""
        assert self._networks  # checkpoints of another network are refused here
        version = "+".join(source.stem for source in self._sources)
        card = ModelCard("MVSEP-CDX23 (HTDemucs)", version, "none stated", self._hashes, "real")
        return dict.fromkeys(TRACKS, card)

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int) -> Tracks:
        """See `Separator`. Stereo is separated as it is, the channels of any other sound one by one."""
        stems = np.mean([_resampled_stems(n, samples, sample_rate) for n in self._networks], axis=0)
        names = [_TRACK_OF[name] for name in self._networks[0].config.sources]
        stems = share_remainder(samples, stems[[names.index(name) for name in TRACKS]], sample_rate)
        speech, effects = stems[0], stems[1]
        return {"speech": speech, "effects": effects, "music": samples - speech - effects}

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        networks = tuple(_load(source) for source in self._sources)
        formats = {(n.config.sources, n.config.samplerate, n.config.audio_channels) for n in networks}
        if len(formats) > 1:
            raise UserError(f"{self.path}: its checkpoints differ in sources, sample rate or channels")
        return networks

    @cached_property
    def _sources(self) -> tuple[Path, ...]:
        """The checkpoints, or the folder of a converted one."""
        path = Path(self.path).expanduser()
        if not path.is_dir():
            return (existing_file(path),)
        found = (path,) if (path / CONFIG_FILE).is_file() else tuple(sorted(path.glob("*.th")))
        if not found:
            raise UserError(
                f"{path}: neither config.json nor a .th file in it; cdx23 needs a checkpoint of demucs"
            )
        return found

    @cached_property
    def _hashes(self) -> str:
        return "+".join(sha256(file) for file in self._weight_files)

    @property
    def _weight_files(self) -> list[Path]:
        folders = [sorted(s.glob("*.safetensors")) if s.is_dir() else [s] for s in self._sources]
        return [file for files in folders for file in files]


def share_remainder(
    mix: Float[np.ndarray, "s c"], stems: Float[np.ndarray, "S s c"], sample_rate: int
) -> Float[np.ndarray, "S s c"]:
    """Stems that add up to the mix, float32: each is given a share of what they lack of it, or exceed it by.

    The shares are as the powers of the stems within `_SHARE_SECONDS` around a sample, over all channels, so that a
    silent stem stays silent; stems that are all silent share alike.
    """
    from scipy.ndimage import uniform_filter1d

    window = max(1, round(_SHARE_SECONDS * sample_rate))
    power = np.mean(np.square(stems, dtype=np.float64), axis=2)
    power = np.maximum(uniform_filter1d(power, window, axis=1, mode="nearest"), 0) + _TINY
    share = (power / power.sum(axis=0)).astype(np.float32)[..., None]
    return stems + share * (mix - stems.sum(axis=0))


def overlapped_stems(network: Network, mix: Float[np.ndarray, "s c"]) -> Float[np.ndarray, "S s c"]:
    """Stems of a sound at the network's rate: weighted means of those of overlapping segments.

    Equals demucs' `apply_model(model, mix, shifts=0, split=True, overlap=.8)`: weights rise and fall linearly, and a
    segment that ends after the sound is centred on the part that is within it.
    """
    segment, length = network.config.segment_samples, len(mix)
    total = np.zeros((len(network.config.sources), *mix.shape), np.float32)
    weights = np.zeros(length, np.float32)
    rise = np.arange(1, segment // 2 + 1, dtype=np.float32)
    fall = np.arange(segment - segment // 2, 0, -1, dtype=np.float32)
    triangle = np.concatenate([rise, fall]) / fall[0]
    for first in range(0, length, network.stride):
        inside = min(segment, length - first)
        margin = (segment - inside) // 2
        stems = np.asarray(network.stems(_window(mix, first - margin, segment)[None]))[0]
        total[:, first : first + inside] += triangle[:inside, None] * stems[:, margin : margin + inside]
        weights[first : first + inside] += triangle[:inside]
    return total / weights[:, None]


def _window(mix: np.ndarray, start: int, length: int) -> np.ndarray:
    """A part of the mix, with zeros where it is outside."""
    inside = mix[max(start, 0) : start + length]
    before = max(-start, 0)
    return np.pad(inside, [(before, length - before - len(inside)), (0, 0)])


def _resampled_stems(network: Network, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Stems [S s c] of a sound at any rate, with any number of channels."""
    rate, channels = network.config.samplerate, network.config.audio_channels
    wide = resample(samples, sample_rate, rate)
    stems = by_channels(partial(overlapped_stems, network), wide, channels)
    return np.stack([fit_length(resample(stem, rate, sample_rate), len(samples)) for stem in stems])


def _load(source: Path) -> Network:
    """Raises UserError unless it is a network of the three tracks."""
    config = load_config(source) if source.is_dir() else demucs_config(source)
    if not isinstance(config, HTDemucsConfig):
        raise UserError(f"{source}: is no HTDemucs; cdx23 needs a checkpoint of demucs")
    if sorted(_TRACK_OF.get(name, name) for name in config.sources) != sorted(TRACKS):
        raise UserError(
            f"{source}: separates {', '.join(config.sources)}; cdx23 needs music, effects (sfx) and speech"
        )
    model, params = load_model(source) if source.is_dir() else load_demucs(source)
    return Network(config, partial(_apply, model, params))


@partial(jax.jit, static_argnums=0)
def _apply(model: nn.Module, params: Params, mix: Array) -> jax.Array:
    """Compiled once for checkpoints of the same config."""
    return model.apply(params, mix)  # pyright: ignore[reportReturnType]
