"""The networks of metrics: loaded from the user's folder, or drawn at random where that is allowed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.videos.metric import Weights
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256
from mtv_jax.models.registry import make_model, network, spec_of
from mtv_jax.models.shapes import random_params
from mtv_jax.typing import Params
from mtv_jax.weights.pretrained import load_model


@dataclass(frozen=True)
class Network:
    """A network, the SHA-256 of its files, and whether its weights are random."""

    model: Any
    params: Params
    sha256: str
    untrained: bool


def load_network(weights: Weights, folder: str, name: str, how: str, tiny: Any = None) -> Network:
    """The network in a folder of the user's weights.

    Where there is none, a tiny one with random weights if that is allowed.

    Args:
      folder: its name in `weights.folder`.
      name: of the network in the registry.
      how: how to get it, for the error.
      tiny: config of the random network; None: the smallest.

    Raises UserError if it is missing or of another kind.
    """
    path = weights.folder / folder if weights.folder else None
    if path is None or not path.is_dir():
        if not weights.random:
            where = f"{path} is not there" if path else "no --weights given"
            raise UserError(f"needs {folder}/ in the folder of --weights ({where}); {how}")
        model = make_model(name, tiny or network(name).config.tiny())
        return Network(model, random_params(model, 0), "random", True)
    model, params = load_model(path)
    if spec_of(model) is not network(name):
        raise UserError(f"{path}: holds {spec_of(model).name}; needed is {name}")
    return Network(model, params, _digest(path), False)


def _digest(folder: Path) -> str:
    """SHA-256 over the files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()
