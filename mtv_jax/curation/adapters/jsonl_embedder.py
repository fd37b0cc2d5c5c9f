"""Any program as Embedder (`mtv_jax.curation.adapters.jsonl`)."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mtv_jax.curation.adapters.jsonl import Program
from mtv_jax.curation.roles import Embeddings, ModelCard
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE
from mtv_jax.typing import UInt8


class JsonlEmbedder:
    """A program as Embedder, such as one that runs another network than ImageBind.

    It is asked `{"keyframes": [PNG, ...], "sounds": [WAV, ...], "label": "dog barking"}`, paths of a picture and a
    sound of each segment, and answers `{"keyframes": [[...], ...], "sounds": [[...], ...], "label": [...]}`, vectors of
    one space and of any length but zero. A label that is null has no vector.
    """

    def __init__(self, command: str):
        self._command, self._program = command, Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def embed(
        self, keyframes: UInt8[np.ndarray, "s H W 3"], sounds: Sequence[np.ndarray], label: str | None
    ) -> Embeddings:
        """What it answers. Raises UserError for another number of vectors, or ones without a direction."""
        with tempfile.TemporaryDirectory() as folder:
            pictures = [Path(folder) / f"{i}.png" for i in range(len(keyframes))]
            waves = [Path(folder) / f"{i}.wav" for i in range(len(sounds))]
            for path, frame in zip(pictures, keyframes, strict=True):
                Image.fromarray(frame).save(path)
            for path, sound in zip(waves, sounds, strict=True):
                write_audio(path, sound, TRACK_RATE)
            paths = {"keyframes": [*map(str, pictures)], "sounds": [*map(str, waves)]}
            answer = self._program.ask({**paths, "label": label})
        text = None if label is None else self._vectors([answer.get("label")], "label", 1)[0]
        return Embeddings(
            self._vectors(answer.get("keyframes"), "keyframes", len(keyframes)),
            self._vectors(answer.get("sounds"), "sounds", len(sounds)),
            text,
        )

    def _vectors(self, given: Any, name: str, count: int) -> np.ndarray:
        """Vectors of unit length [count e]."""
        try:
            found = np.array(given, np.float64)
        except (TypeError, ValueError):  # lists of different lengths, or no numbers
            found = np.zeros(0)
        lengths = np.linalg.norm(found, axis=-1, keepdims=True) if found.ndim == 2 else np.zeros(0)
        if len(lengths) != count or not np.isfinite(lengths).all() or not lengths.all():
            raise UserError(
                f"{self._command}: its {name} must be {count} vectors of one length, none of them zero"
            )
        return found / lengths
