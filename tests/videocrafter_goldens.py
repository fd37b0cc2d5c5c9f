"""The numbers of VideoCrafter's public code (tests/goldens/README.md)."""

import functools
import json
from dataclasses import replace
from typing import Any

import numpy as np
from golden_folders import ORIGINALS
from safetensors.numpy import load_file

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.videocrafter import VideoCrafterUNet
from mtv_jax.weights import videocrafter as table
from mtv_jax.weights.rules import to_params

FOLDER = ORIGINALS / "videocrafter2"


@functools.cache
def values() -> dict[str, Any]:
    """Config of the small network, of the schedule and of the sampling."""
    return json.loads((FOLDER / "config.json").read_text())


def schedule_config() -> ScheduleConfig:
    """The preset with the numbers of the goldens' own config."""
    given = values()["diffusion"]
    return replace(
        ScheduleConfig.videocrafter2(),
        num_train_timesteps=given["timesteps"],
        beta_start=given["linear_start"],
        beta_end=given["linear_end"],
        scale_b=given["scale_b"],
        scale_steps=given["mid_step"],
    )


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
