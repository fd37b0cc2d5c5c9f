"""The golden numbers of AudioSep's ResUNet, and the network that has their weights."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from golden_folders import ORIGINALS
from safetensors.numpy import load_file

from mtv_jax.models.resunet import AudioSepResUNet, ResUNetConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.resunet import IGNORED, RULES
from mtv_jax.weights.rules import to_params

FOLDER = ORIGINALS / "audiosep_resunet"


@dataclass(frozen=True)
class Golden:
    """`numbers` are those of io.npz."""

    numbers: dict[str, np.ndarray]

    @cached_property
    def config(self) -> ResUNetConfig:
        """Of the small network."""
        values = json.loads((FOLDER / "config.json").read_text())
        narrow = {int(old): new for old, new in values["widths_replacement"].items()}
        return ResUNetConfig(
            tuple(narrow[width] for width in ResUNetConfig().widths),
            values["tiny_condition_size"],
            values["sample_rate"],
            values["n_fft"],
            values["hop"],
        )

    @cached_property
    def state(self) -> dict[str, np.ndarray]:
        """Weights of the small network by the original's names."""
        return load_file(FOLDER / "weights_tiny.safetensors")

    @cached_property
    def network(self) -> tuple[AudioSepResUNet, dict[str, Any]]:
        """The small network."""
        model = AudioSepResUNet(self.config)
        return model, to_params(self.state, RULES, parameter_shapes(model), ignored=IGNORED)

    def sound(self, name: str) -> np.ndarray:
        """A sound that is stored as 16-bit integers."""
        return (self.numbers[name] / 2**15).astype(np.float32)


def load_golden() -> Golden:
    with np.load(FOLDER / "io.npz") as file:
        return Golden(dict(file))


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest error, relative to the largest number expected."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
