"""The state of a training run, and the split of its parameters into trainable and frozen."""

from collections.abc import Callable
from typing import Any

import flax.struct
import flax.traverse_util
import jax
import jax.numpy as jnp
import optax

from mtv_jax.typing import Params

_SEPARATOR = "/"


@flax.struct.dataclass
class TrainState:
    """Everything that a step updates, or reads besides the batch.

    Attributes:
      step: number of updates done, int32 scalar (or what stands for it in a tree of shapes or shardings).
      params: the trainable parameters.
      frozen: the others: no gradient, no optimiser state, no average.
      opt_state: of `params` alone.
      ema: moving average of `params`, or None (for which JAX puts other values into trees of shardings).
    """

    step: Any
    params: Params
    frozen: Params
    opt_state: Any
    ema: Any

    def all_params(self, average: bool = False) -> Params:
        """The variables for `model.apply`; with `average`, the moving average where there is one."""
        return joined(self.params, self.frozen, self.ema if average else None)


def joined(params: Params, frozen: Params, ema: Params | None) -> Params:
    """All parameters for `model.apply`: the average `ema`, where there is one, in place of the trainable ones."""
    if ema is not None:
        params = jax.tree.map(lambda a, p: a.astype(p.dtype), ema, params)
    return merge(params, frozen)


def create_state(
    params: Params,
    optimizer: optax.GradientTransformation,
    trainable: Callable[[str], bool],
    average_dtype: Any | None,
) -> TrainState:
    """The state before the first step; `average_dtype` is the dtype of the average, None for no average."""
    train, frozen = split(params, trainable)
    # A copy: the step donates the state, and one buffer cannot be donated twice.
    ema = None if average_dtype is None else jax.tree.map(lambda x: jnp.array(x, average_dtype), train)
    return TrainState(jnp.zeros((), jnp.int32), train, frozen, optimizer.init(train), ema)


def split(params: Params, trainable: Callable[[str], bool]) -> tuple[Params, Params]:
    """Parameters whose path is trainable, and the rest. Both are `{"params": ...}`."""
    flat = flax.traverse_util.flatten_dict(params["params"], sep=_SEPARATOR)
    chosen = {path: leaf for path, leaf in flat.items() if trainable(path)}
    rest = {path: leaf for path, leaf in flat.items() if path not in chosen}
    return _unflatten(chosen), _unflatten(rest)


def merge(first: Params, second: Params) -> Params:
    """The inverse of `split`. A parameter in both is taken from the second."""
    flat = flax.traverse_util.flatten_dict(first["params"], sep=_SEPARATOR)
    return _unflatten(flat | flax.traverse_util.flatten_dict(second["params"], sep=_SEPARATOR))


def _unflatten(flat: dict[str, Any]) -> Params:
    return {"params": flax.traverse_util.unflatten_dict(flat, sep=_SEPARATOR)}
