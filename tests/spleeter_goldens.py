"""The small networks of Spleeter whose numbers are recorded (`goldens/make_spleeter.py`)."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np

from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.spleeter import Spleeter
from mtv_jax.typing import Params
from mtv_jax.weights.rules import to_params
from mtv_jax.weights.spleeter import IGNORED, RULES, config_from_json


class Golden:
    """The recorded arrays by name, and the network."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @cached_property
    def state(self) -> dict[str, np.ndarray]:
        """Tensors under the original's names."""
        prefix = "weights."
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}

    @cached_property
    def network(self) -> tuple[Spleeter, Params]:
        """The network of both stems with these weights."""
        model = Spleeter(config_from_json(json.loads(str(self.arrays["config"]))))
        return model, to_params(self.state, RULES, parameter_shapes(model), ignored=IGNORED)


def load_golden(folder: Path) -> Golden:
    """The numbers in `spleeter.npz`."""
    with np.load(folder / "spleeter.npz") as file:
        return Golden(dict(file))
