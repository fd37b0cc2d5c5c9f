"""The frozen networks of a system without tracks that turn a clip into a record: autoencoder and text encoder."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from mtv_jax.curation.encoders import encoder_identity, save_encoders, stored
from mtv_jax.data.transforms import to_unit
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Params, UInt8
from mtv_jax.weights.model_index import TextOptions, read_defaults
from mtv_jax.weights.pretrained import load_model

_PARTS = ("vae", "text_encoder", "tokenizer")


@dataclass(frozen=True)
class PictureEncoders:
    """Autoencoder and text encoder, with the folders they came from."""

    vae: nn.Module
    vae_params: Params
    text: TextEncoder
    folders: dict[str, Path]

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike, vae: str | os.PathLike | None = None
    ) -> "PictureEncoders":
        """The encoders of a pipeline folder; the autoencoder of another one if `vae` is given."""
        folder = pipeline_folder(path)
        folders = {name: folder / name for name in _PARTS if (folder / name).is_dir()}
        if vae is not None:
            other = pipeline_folder(vae)
            folders["vae"] = other / "vae" if (other / "vae").is_dir() else other
        model, params = load_model(folders.get("vae", folder / "vae"))
        text = TextEncoder.from_pretrained(folder, read_defaults(folder).text)
        return cls(model, params, text, folders)

    @property
    def identity(self) -> dict[str, Any]:
        """The SHA-256 of each file, by part and name."""
        return encoder_identity(self.folders)

    def encode(self, frames: UInt8[np.ndarray, "F H W 3"], prompt: str) -> dict[str, np.ndarray]:
        """The arrays of a clip's record: posterior of its latents, and text."""
        mean, logvar = _posterior(self.vae, self.vae_params, to_unit(frames)[None])
        (text,) = self.text.encode([prompt])
        arrays = {"latents_mean": mean[0], "latents_logvar": logvar[0], "text": text}
        return {name: stored(name, array) for name, array in arrays.items()}

    def save(self, out: Path, size: ClipSize) -> None:
        """Writes them as a pipeline folder without denoiser, for clips of `size`."""
        save_encoders(self.folders, TextOptions(self.text.text_length, self.text.padding), out, size)


@partial(jax.jit, static_argnums=0)
def _posterior(vae: Any, params: Any, video: Any) -> Any:
    return vae.apply(params, video, method="encode")
