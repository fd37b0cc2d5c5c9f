"""ImageBind as embedder: Maestro's choice. Weights by path, or random ones to try the way out."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mtv_jax.curation.roles import Embeddings, ModelCard
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, sha256
from mtv_jax.models.imagebind import ImageBind, ImageBindConfig, image_pixels, log_mels
from mtv_jax.models.registry import replace_fields
from mtv_jax.models.shapes import random_params
from mtv_jax.text.clip_tokenizer import installed_vocabulary, load_clip_tokenizer
from mtv_jax.typing import Array, Float, Int, Params, UInt8
from mtv_jax.weights.pretrained import build_model, load_model, read_config

RANDOM = "random"
"""Instead of a folder: a tiny network with random weights, whose evidence is that of a stub."""
TOKENIZER = "tokenizer"
"""Folder of CLIP's tokenizer in that of the network; without it, the vocabulary in the package open_clip is read."""
_BYTES = 256


class ImageBindEmbedder:
    """The embeddings of pictures, sounds and texts. Pictures are squares of their middle."""

    def __init__(self, folder: str = ""):
        if not folder:
            raise UserError(
                "imagebind: needs its weights; convert them (python -m mtv_jax.convert --from imagebind --in "
                "imagebind_huge.pth --out FOLDER) and give config.agreement.embedder=imagebind:FOLDER"
            )
        self._folder = None if folder == RANDOM else existing_directory(folder)

    def card(self) -> ModelCard:
        """The card. Raises UserError for what every clip would meet: no weights, another network, no tokenizer."""
        folder = self._folder
        if folder is not None:
            _check_network(build_model(folder), folder)
            _load_tokenizer(self._vocabulary)
        if folder is None or read_config(folder)[1] is not None:
            return ModelCard("ImageBind with random weights", "1", "Apache-2.0", None, "stub")
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise UserError(f"{folder}: no .safetensors file in it")
        return ModelCard("ImageBind", "1", "CC-BY-NC-SA-4.0", "+".join(map(sha256, files)), "real")

    def embed(
        self, keyframes: UInt8[np.ndarray, "s H W 3"], sounds: Sequence[np.ndarray], label: str | None
    ) -> Embeddings:
        """See `Embedder`."""
        model, params = self._network
        pixels = image_pixels(keyframes, model.config.image_size)
        return Embeddings(
            _unit(_encode(model, "encode_vision", params, pixels)),
            _unit(_encode(model, "encode_audio", params, log_mels(sounds))),
            None if label is None else self._text(label),
        )

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - adapters live as long as their process
    def _text(self, label: str) -> Float[np.ndarray, "e"]:
        """The embedding of a label, of which there are few."""
        model, params = self._network
        return _unit(_encode(model, "encode_text", params, self._tokens(label)))[0]

    def _tokens(self, label: str) -> Int[np.ndarray, "1 l"]:
        length = self._network[0].config.context_length
        if self._folder is None:
            return _byte_tokens(label, length)
        return _load_tokenizer(self._vocabulary).encode([label], length)[0]

    @property
    def _vocabulary(self) -> Path:
        """CLIP's, of a folder."""
        assert self._folder is not None
        own = self._folder / TOKENIZER
        return own if own.is_dir() else installed_vocabulary()

    @functools.cached_property
    def _network(self) -> tuple[ImageBind, Params]:
        if self._folder is None:
            model = ImageBind(replace_fields(ImageBindConfig.tiny(), {"vocab_size": _BYTES + 2}))
            return model, random_params(model, 0)
        model, params = load_model(self._folder)
        return _check_network(model, self._folder), params


def _check_network(model: Any, folder: Path) -> ImageBind:
    """The network. Raises UserError if it is another one."""
    if not isinstance(model, ImageBind):
        raise UserError(f"{folder}: a {type(model).__name__}, not the whole of ImageBind")
    return model


_load_tokenizer = functools.lru_cache(maxsize=1)(load_clip_tokenizer)


def _byte_tokens(label: str, length: int) -> Int[np.ndarray, "1 l"]:
    """The bytes of a text, and an end token, which has the highest id, as in CLIP's vocabulary; 0 is padding."""
    ids = np.zeros((1, length), np.int32)
    data = np.frombuffer(label.encode(), np.uint8)[: length - 1]
    ids[0, : len(data)] = data.astype(np.int32) + 1
    ids[0, len(data)] = _BYTES + 1
    return ids


def _unit(embeddings: Array) -> Float[np.ndarray, "b e"]:
    found = np.asarray(embeddings, np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(model: ImageBind, method: str, params: Params, inputs: Array) -> Float[Array, "b e"]:
    return model.apply(params, inputs, method=method).embedding  # pyright: ignore[reportAttributeAccessIssue]
