"""The numbers of VideoCrafter's public code (tests/goldens/README.md)."""

import functools
import json
from typing import Any

import numpy as np
from golden_folders import ORIGINALS
from safetensors.numpy import load_file

from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.videocrafter import VideoCrafterUNet
from mtv_jax.weights import videocrafter as table
from mtv_jax.weights.rules import to_params

FOLDER = ORIGINALS / "videocrafter2"


@functools.cache
def values() -> dict[str, Any]:
    """Config of the small network, of the schedule and of the sampling."""
    return json.loads((FOLDER / "config.json").read_text())


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """Everything recorded."""
    with np.load(FOLDER / "io.npz") as file:
        return dict(file)


@functools.cache
def state() -> dict[str, np.ndarray]:
    """The tensors by the original's names, which were rounded to float16."""
    return {key: x.astype(np.float32) for key, x in load_file(FOLDER / "weights_f16.safetensors").items()}


@functools.cache
def load() -> tuple[VideoCrafterUNet, Any]:
    """Our network and its parameters."""
    config = table.config_from_json(values()["unet_params"])
    model = VideoCrafterUNet(config)
    return model, to_params(state(), table.rules(config), parameter_shapes(model))


def channels_last(x: np.ndarray) -> np.ndarray:
    """Of `[..., c, f, h, w]`."""
    return np.moveaxis(x, -4, -1)
