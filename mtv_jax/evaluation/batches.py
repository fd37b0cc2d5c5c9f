"""Runs compiled networks over any number of inputs."""

from collections.abc import Callable
from typing import Any

import numpy as np


def in_batches(apply: Callable[[np.ndarray], Any], inputs: np.ndarray, size: int) -> np.ndarray:
    """The outputs of `apply` for all `inputs` [n ...], at least one, computed `size` at a time.

    The last batch is filled up with copies of its first input, so that `apply` is compiled for one shape.
    """
    outputs = []
    for start in range(0, len(inputs), size):
        batch = inputs[start : start + size]
        missing = size - len(batch)
        filled = np.concatenate([batch, np.repeat(batch[:1], missing, axis=0)]) if missing else batch
        outputs.append(np.asarray(apply(filled))[: len(batch)])
    return np.concatenate(outputs)
