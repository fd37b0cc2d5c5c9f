"""Networks as demucs stores them: a torch file with the class, its arguments and its weights, mostly float16."""

from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.models.htdemucs import HTDemucsConfig
from mtv_jax.models.htdemucs.spec import SPEC
from mtv_jax.models.registry import make_model
from mtv_jax.typing import Params
from mtv_jax.weights import htdemucs
from mtv_jax.weights.placement import place
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.torch_files import Package, read_package


def load_demucs(path: Path, *, param_dtype: Any = jnp.float32) -> tuple[nn.Module, Params]:
    """The network of a file of demucs (`.th`), as `load_model` returns one of a folder.

    Raises UserError for a file of another form, a class other than HTDemucs, options that are not supported, missing
    or unexpected tensors, and mismatched shapes.
    """
    return open_demucs(path, partial(place, dtype=param_dtype))


def open_demucs(path: Path, settle: Place) -> tuple[nn.Module, Params]:
    """As `load_demucs`, with `settle(path, leaf)` in place of each parameter."""
    package = read_package(path)
    model = make_model(SPEC.name, _config(package, path))
    return model, fill(package.state, model, settle, path)


def demucs_config(path: Path) -> HTDemucsConfig:
    """The config of the network in a file of demucs, without its weights. Raises UserError as `load_demucs` does."""
    return _config(read_package(path), path)


def _config(package: Package, path: Path) -> HTDemucsConfig:
    name = package.class_name.rpartition(".")[2]
    if name not in SPEC.class_names:
        raise UserError(
            f"{path}: holds a network {name[:80]!r}; of demucs' networks only HTDemucs is supported"
        )
    with errors_in_file(path):
        return htdemucs.config_from_json(package.kwargs)
