"""The frozen networks that turn a clip into a record."""

import abc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import flax.linen as nn
import jax
import numpy as np

from mtv_jax.audio.features import AudioEncoder, track_features
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.audio.tracks import MIX, Tracks
from mtv_jax.data.transforms import to_unit
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, link_tree, sha256, visible, write_json
from mtv_jax.models.cim_unet2d.model import MEL
from mtv_jax.models.imagebind import log_mels
from mtv_jax.pipelines.maestro.features import cut_clips, key_frames, num_clips
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Float, Params, UInt8
from mtv_jax.weights.maestro_defaults import ClipSampler, MaestroDefaults
from mtv_jax.weights.model_index import (
    INDEX,
    MAESTRO,
    MTV,
    TextOptions,
    encoders_json,
    read_class,
    read_defaults,
)
from mtv_jax.weights.pretrained import load_model

PARTS = ("vae", "text_encoder", "tokenizer")
"""Of a pipeline folder: what turns clips into records, besides the network for sounds. The rest is of a model, the
schedule of its noise too."""
AUDIO_ENCODER, IMAGEBIND = "audio_encoder", "imagebind"
"""The network for sounds: of most pipelines, and of Maestro."""


@dataclass(frozen=True)
class Encoders(abc.ABC):
    """Autoencoder and text encoder, with the folders of all encoders.

    Attributes:
      hears_mix: whether `encode` takes the sound of a clip as it is, under the name `MIX`, or its tracks.
    """

    vae: nn.Module
    vae_params: Params
    text: TextEncoder
    folders: dict[str, Path]

    hears_mix: ClassVar[bool] = False

    @staticmethod
    def from_pretrained(path: str | os.PathLike, vae: str | os.PathLike | None = None) -> "Encoders":
        """The encoders of a pipeline folder or preset; the autoencoder of another one if `vae` is given.

        Raises UserError for a folder without one of them.
        """
        folder, folders = pipeline_folder(path), encoder_folders(path, vae)
        model, params = load_model(folders.get("vae", folder / "vae"))
        defaults = read_defaults(folder)
        text = TextEncoder.from_pretrained(folder, defaults.text)
        if IMAGEBIND in folders:
            sampler = (defaults.maestro or MaestroDefaults()).clip_sampler
            return MaestroEncoders(model, params, text, folders, sampler)
        return TrackEncoders(model, params, text, folders, load_audio_encoder(folder / AUDIO_ENCODER))

    @property
    def identity(self) -> dict[str, Any]:
        """`encoder_identity` of its folders."""
        return encoder_identity(self.folders)

    @abc.abstractmethod
    def encode(
        self, frames: UInt8[np.ndarray, "F H W 3"], tracks: Tracks, text: np.ndarray, size: ClipSize
    ) -> dict[str, np.ndarray]:
        """The arrays of a clip's record.

        The tracks begin with the clip. `text` is an embedding that `self.text` gave.
        """

    def save(self, out: Path, size: ClipSize) -> None:
        """`save_encoders` of its folders."""
        save_encoders(self.folders, TextOptions(self.text.text_length, self.text.padding), out, size)


@dataclass(frozen=True)
class TrackEncoders(Encoders):
    """With an encoder of the tracks of clips."""

    audio: AudioEncoder

    def encode(
        self, frames: UInt8[np.ndarray, "F H W 3"], tracks: Tracks, text: np.ndarray, size: ClipSize
    ) -> dict[str, np.ndarray]:
        """Posterior of the clip's latents, text, features of its tracks per frame."""
        mean, logvar = _posterior(self.vae, self.vae_params, to_unit(frames)[None])
        features = track_features(self.audio, tracks, size.num_frames, size.fps)
        arrays = {"latents_mean": mean[0], "latents_logvar": logvar[0], "text": text, **features}
        return {name: stored(name, array) for name, array in arrays.items()}


@dataclass(frozen=True)
class MaestroEncoders(Encoders):
    """Those of Maestro: records for the training of its Condition Injection Module."""

    clip_sampler: ClipSampler

    hears_mix: ClassVar[bool] = True

    def encode(
        self, frames: UInt8[np.ndarray, "F H W 3"], tracks: Tracks, text: np.ndarray, size: ClipSize
    ) -> dict[str, np.ndarray]:
        """`cim_arrays` of a clip whose sound is the track `MIX`."""
        sound = tracks[MIX]
        return cim_arrays(self.vae, self.vae_params, frames, sound, size.duration, text, self.clip_sampler)


@dataclass(frozen=True)
class PictureEncoders(Encoders):
    """For the training of a denoiser without sound: posterior of the latents, and text."""

    @staticmethod
    def from_pretrained(path: str | os.PathLike, vae: str | os.PathLike | None = None) -> "PictureEncoders":
        """As of the base class, of any pipeline folder; its network for sounds is not needed, and is left out."""
        folder = pipeline_folder(path)
        folders = _part_folders(folder, PARTS, vae)
        model, params = load_model(folders.get("vae", folder / "vae"))
        text = TextEncoder.from_pretrained(folder, read_defaults(folder).text)
        return PictureEncoders(model, params, text, folders)

    def encode(
        self, frames: UInt8[np.ndarray, "F H W 3"], tracks: Tracks, text: np.ndarray, size: ClipSize
    ) -> dict[str, np.ndarray]:
        """Posterior of the clip's latents, and text."""
        mean, logvar = _posterior(self.vae, self.vae_params, to_unit(frames)[None])
        arrays = {"latents_mean": mean[0], "latents_logvar": logvar[0], "text": text}
        return {name: stored(name, array) for name, array in arrays.items()}


def cim_arrays(
    vae: nn.Module,
    vae_params: Params,
    frames: UInt8[np.ndarray, "F H W 3"],
    sound: Float[np.ndarray, "_"],
    seconds: float | Fraction,
    text: Float[np.ndarray, "l d"],
    sampler: ClipSampler = "tiled",
) -> dict[str, np.ndarray]:
    """What trains Maestro's Condition Injection Module of one clip: S = ceil(seconds / 2) segments, float16.

    Args:
      vae, vae_params: the autoencoder of pictures.
      frames: of the whole clip; one for each segment is encoded (`pipelines.maestro.features.key_frames`).
      sound: of the clip, mono at 16 kHz.
      seconds: duration of the clip.
      text: embedding of the label.
      sampler: where segments of the sound start (`pipelines.maestro.features.cut_clips`).

    Returns:
      `latents_mean` and `latents_logvar` [S h w c], `mel` [S 128 204] and `text` [l d].

    Raises UserError for what float16 has no room for.
    """
    pictures = frames[key_frames(len(frames), num_clips(seconds))]
    mean, logvar = _posterior(vae, vae_params, to_unit(pictures)[None])
    mel = log_mels(cut_clips(sound, seconds, sampler))
    arrays = {"latents_mean": mean[0], "latents_logvar": logvar[0], "text": text, MEL: mel}
    return {name: stored(name, array) for name, array in arrays.items()}


def save_encoders(folders: Mapping[str, Path], text: TextOptions, out: Path, size: ClipSize) -> None:
    """Writes a pipeline folder without denoiser, for clips of `size`.

    Large files are linked, not copied, where that can be.
    """
    with atomic_directory(out) as temporary:
        for name, path in folders.items():
            link_tree(path, temporary / name)
        write_json(temporary / INDEX, encoders_json(size, text, MAESTRO if IMAGEBIND in folders else MTV))


def encoder_folders(path: str | os.PathLike, vae: str | os.PathLike | None = None) -> dict[str, Path]:
    """The folder of each part of the encoders of a pipeline; the autoencoder of another one if `vae` is given.

    Raises UserError for a pipeline without an audio encoder.
    """
    folder = pipeline_folder(path)
    sound = IMAGEBIND if read_class(folder) == MAESTRO else AUDIO_ENCODER
    if not (folder / sound).is_dir():
        missing = f"{folder}: no {sound}/ in it"
        if sound == AUDIO_ENCODER:
            missing += "; a backbone has none: put that of the controlnet there (MTV's is facebook/wav2vec2-base-960h)"
        raise UserError(missing)
    return _part_folders(folder, (*PARTS, sound), vae)


def _part_folders(folder: Path, parts: tuple[str, ...], vae: str | os.PathLike | None) -> dict[str, Path]:
    """The folder of each of `parts` that a pipeline has; the autoencoder of another one if `vae` is given."""
    folders = {name: folder / name for name in parts if (folder / name).is_dir()}
    if vae is not None:
        other = pipeline_folder(vae)
        folders["vae"] = other / "vae" if (other / "vae").is_dir() else other
    return folders


def encoder_identity(folders: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The SHA-256 of each file, by part and name: latents of one autoencoder mean nothing to another."""
    return {name: _hashes(path) for name, path in sorted(folders.items())}


def stored(name: str, array: Any) -> np.ndarray:
    """As records have it, float16. Raises UserError for NaN, infinity, and what float16 has no room for."""
    with np.errstate(over="ignore"):
        half = np.asarray(array, np.float16)
    if not np.isfinite(half).all():
        raise UserError(f"{name}: not finite, or beyond float16")
    return half


@partial(jax.jit, static_argnums=0)
def _posterior(vae: Any, params: Any, video: Any) -> Any:
    return vae.apply(params, video, method="encode")


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in visible(folder) if path.is_file()}
