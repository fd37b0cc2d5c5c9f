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
import jax.numpy as jnp
import numpy as np

from mtv_jax.io.files import atomic_path, read_text, write_text
from mtv_jax.pipelines.windows import Given, Latents, MakeWindow

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

    def kept_or_made(self, make: MakeWindow) -> MakeWindow:
        """Makes and keeps windows that are not there."""

        def kept(number: int, given: Given | None) -> Latents:
            file = self._folder / f"window_{number:04}.npy"
            if not file.is_file():
                latents = np.asarray(make(number, given))
                with atomic_path(file) as temporary, temporary.open("wb") as out:
                    np.save(out, latents)
            return jnp.asarray(np.load(file))

        return kept


def identity_of(texts: Iterable[str], arrays: Any) -> str:
    """A hash of texts and of a tree of arrays, random keys among them; None and structure count too."""
    digest = hashlib.sha256()
    leaves, structure = jax.tree.flatten(arrays)
    for text in (*texts, str(structure)):
        digest.update(f"{text}\0".encode())
    for leaf in leaves:
        is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        values = np.ascontiguousarray(jax.random.key_data(leaf) if is_key else leaf)
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.view(np.uint8).data if values.size else b"")
    return digest.hexdigest()
