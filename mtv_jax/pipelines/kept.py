"""Finished windows of a video that is being made, so that a call that was killed goes on at its window.

A folder holds the latent frames of each window, and the identity of what they belong to: a hash of all that decides the
result. Those of anything else are removed.
"""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mtv_jax.io.files import atomic_path, read_text, write_text

_IDENTITY = "identity.txt"


class KeptWindows:
    """The windows in a folder, which is made if it is missing."""

    def __init__(self, folder: Path, identity: str):
        self._folder = folder
        file = folder / _IDENTITY
        if file.is_file() and read_text(file) == identity:
            return
        shutil.rmtree(folder, ignore_errors=True)
        write_text(file, identity)

    def read(self, number: int) -> np.ndarray | None:
        """The latent frames of a window; None if it is not there."""
        file = self._file(number)
        return np.load(file) if file.is_file() else None

    def write(self, number: int, latents: np.ndarray) -> None:
        """Keeps the latent frames of a window."""
        with atomic_path(self._file(number)) as temporary, temporary.open("wb") as file:
            np.save(file, latents)

    def _file(self, number: int) -> Path:
        return self._folder / f"window_{number:04}.npy"


def identity_of(texts: Iterable[str], arrays: Any) -> str:
    """A hash of texts and of a tree of arrays, random keys among them; None and structure count too."""
    digest = hashlib.sha256()
    leaves, structure = jax.tree.flatten(arrays)
    for text in (*texts, str(structure)):
        digest.update(f"{text}\0".encode())
    for leaf in leaves:
        is_key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        values = np.ascontiguousarray(jax.random.key_data(leaf) if is_key else leaf)
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.view(np.uint8).data if values.size else b"")
    return digest.hexdigest()
