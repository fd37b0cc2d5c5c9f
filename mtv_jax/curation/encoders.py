"""The frozen networks that turn a clip into a record."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from mtv_jax.audio.features import AudioEncoder, track_features
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.audio.tracks import Tracks
from mtv_jax.data.transforms import to_unit
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, link_tree, sha256, visible, write_json
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Params, UInt8
from mtv_jax.weights.model_index import INDEX, TextOptions, encoders_json, read_defaults
from mtv_jax.weights.pretrained import load_model

PARTS = ("vae", "text_encoder", "tokenizer", "audio_encoder")
"""Of a pipeline folder: what turns clips into records. The rest is of a model, the schedule of its noise too."""


@dataclass(frozen=True)
class Encoders:
    """Autoencoder, text encoder and audio encoder, with the folders they came from."""

    vae: nn.Module
    vae_params: Params
    text: TextEncoder
    audio: AudioEncoder
    folders: dict[str, Path]

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike, vae: str | os.PathLike | None = None) -> "Encoders":
        """The encoders of a pipeline folder or preset; the autoencoder of another one if `vae` is given.

        Raises UserError for a folder without one of them.
        """
        folder, folders = pipeline_folder(path), encoder_folders(path, vae)
        model, params = load_model(folders.get("vae", folder / "vae"))
        audio = load_audio_encoder(folder / "audio_encoder")
        text = TextEncoder.from_pretrained(folder, read_defaults(folder).text)
        return cls(model, params, text, audio, folders)

    @property
    def identity(self) -> dict[str, Any]:
        """`encoder_identity` of its folders."""
        return encoder_identity(self.folders)

    def encode(
        self, frames: UInt8[np.ndarray, "F H W 3"], tracks: Tracks, text: np.ndarray, size: ClipSize
    ) -> dict[str, np.ndarray]:
        """The arrays of a clip's record: posterior of its latents, text, features of its tracks per frame.

        The tracks begin with the clip. `text` is an embedding that `self.text` gave.
        """
        mean, logvar = _posterior(self.vae, self.vae_params, to_unit(frames)[None])
        features = track_features(self.audio, tracks, size.num_frames, size.fps)
        arrays = {"latents_mean": mean[0], "latents_logvar": logvar[0], "text": text, **features}
        return {name: stored(name, array) for name, array in arrays.items()}

    def save(self, out: Path, size: ClipSize) -> None:
        """`save_encoders` of its folders."""
        save_encoders(self.folders, TextOptions(self.text.text_length, self.text.padding), out, size)


def save_encoders(folders: Mapping[str, Path], text: TextOptions, out: Path, size: ClipSize) -> None:
    """Writes a pipeline folder without denoiser, for clips of `size`.

    Large files are linked, not copied, where that can be.
    """
    with atomic_directory(out) as temporary:
        for name, path in folders.items():
            link_tree(path, temporary / name)
        write_json(temporary / INDEX, encoders_json(size, text))


def encoder_folders(path: str | os.PathLike, vae: str | os.PathLike | None = None) -> dict[str, Path]:
    """The folder of each part of the encoders of a pipeline; the autoencoder of another one if `vae` is given.

    Raises UserError for a pipeline without an audio encoder.
    """
    folder = pipeline_folder(path)
    if not (folder / "audio_encoder").is_dir():
        raise UserError(
            f"{folder}: no audio_encoder/ in it; a backbone has none: put that of the controlnet there (MTV's is "
            "facebook/wav2vec2-base-960h)"
        )
    folders = {name: folder / name for name in PARTS if (folder / name).is_dir()}
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
