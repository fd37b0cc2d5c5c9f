"""Temporary memory of programs that cannot be compiled here (for GPUs), estimated from shapes.

The real program is traced, with the remat policy of its model, and its equations are visited in order to find the
peak of live bytes, without inputs (`peak_bytes`). The part that grows with the batch, from the difference between two
batch sizes, is multiplied by the rows of a device and divided by `context`. The constant part is weights, which are
traced whole but sharded on devices, so they are counted separately:

    rows x bytes per row / context + sharded gradients of the trainable parameters (twice if accumulated)
        + gathered weights of a layer and of the next one, in the compute dtype + gradients of a layer

Train steps and decoders at full size, compiled for TPUs, are within 20 % of this (tests/planning/test_estimates.py
compares it with launch/plans). The compiler decides how weights are gathered, and collectives are not counted.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal  # pyright: ignore[reportPrivateImportUsage]

from mtv_jax.planning.tracing import inner_jaxprs, trace
from mtv_jax.sharding.mesh import AnyMesh
from mtv_jax.sharding.rules import map_paths
from mtv_jax.typing import Params

DECODER_FACTOR = 3.0
"""Temporary memory of a decoder compiled for TPUs, relative to its live bytes: convolutions copy their inputs."""

_ROWS = 64
"""Rows of the smaller batch that is traced; the other has twice as many. Activations outweigh weights there."""

_NEW_ROOM = ("dot_general", "conv_general_dilated", "transpose", "concatenate", "gather", "pallas_call")
"""Primitives whose outputs cannot reuse the buffers of their inputs; others can, if an input is not read again."""
_NO_ROOM = ("broadcast_in_dim", "iota")
"""Primitives that are fused into their consumers."""


def train_step(
    step: Callable[..., Any],
    trains: Callable[[str], bool],
    state: Any,
    batch: Any,
    mesh: AnyMesh,
    *,
    accumulate: int,
    dtype: Any,
) -> int:
    """Temporary bytes of a train step on each device.

    Args:
      step: `(state, batch)` to the next state, of a batch that is not accumulated.
      trains: whether the parameter of a path is trained.
      state: shapes of a `mtv_jax.training.state.TrainState`, placed on `mesh`, as `batch` is.
      accumulate: parts that a batch is split into.
      dtype: that the network computes in.
    """
    shapes = _unplaced(state)

    def trace(rows: int) -> ClosedJaxpr:
        return _trace(step, shapes, _with_rows(batch, rows))

    rows = rows_of(batch) / accumulate
    gradients = placed_bytes(state.params) * (2 if accumulate > 1 else 1)
    weights = _gathered(state.all_params(), mesh, dtype, trains)
    return round(rows * _bytes_a_row(trace) / mesh.shape["context"] + gradients + weights)


def denoise_step(model: Any, params: Params, inputs: tuple[Any, ...], mesh: AnyMesh) -> int:
    """Temporary bytes of a denoiser call; `params` and `inputs` [b ...] are placed on `mesh`."""
    shapes = _unplaced(params)

    def trace(rows: int) -> ClosedJaxpr:
        return _trace(model.apply, shapes, *_with_rows(inputs, rows))

    activations = rows_of(inputs) * _bytes_a_row(trace) / mesh.shape["context"]
    return round(activations + _gathered(params, mesh, model.dtype, lambda path: False))


def decoder(decode: Callable[..., Any], params: Params, latents: Any, factor: float = DECODER_FACTOR) -> int:
    """Temporary bytes of a decoder call, outputs included; each device runs all of it."""
    return round(factor * peak_bytes(_trace(decode, _unplaced(params), _unplaced(latents)).jaxpr))


def peak_bytes(jaxpr: Jaxpr) -> int:
    """Peak bytes of live intermediates of `jaxpr`, executed in order; its inputs are not counted."""
    last = _last_uses(jaxpr)
    alive: dict[Any, int] = {}
    peak = 0
    for number, equation in enumerate(jaxpr.eqns):
        made = {x: 0 if equation.primitive.name in _NO_ROOM else _bytes(x) for x in equation.outvars}
        dying = {x for x in _variables(equation.invars) if x in alive and last[x] == number}
        reusable = max((alive[x] for x in dying), default=0)
        peak = max(peak, sum(alive.values()) + _needed(equation, sum(made.values()), reusable))
        alive |= {x: size for x, size in made.items() if x in last}
        for x in dying:
            del alive[x]
    return peak


def placed_bytes(tree: Any) -> int:
    """Bytes of a tree of placed shapes on one device."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        total += leaf.dtype.itemsize * math.prod(leaf.sharding.shard_shape(leaf.shape))
    return total


def _last_uses(jaxpr: Jaxpr) -> dict[Any, int]:
    """Variable -> index of the last equation that reads it; outputs count as read after all equations."""
    last = {x: i for i, equation in enumerate(jaxpr.eqns) for x in _variables(equation.invars)}
    return last | dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))


def _needed(equation: JaxprEqn, made: int, reusable: int) -> int:
    """Bytes that an equation needs in addition to the bytes live before it."""
    inner = _inner(equation)
    if not inner:
        in_place = reusable >= made and equation.primitive.name not in _NEW_ROOM
        return 0 if in_place else made
    if equation.primitive.name != "scan":
        return max(made, *(peak_bytes(jaxpr) for jaxpr in inner))
    # Stacked outputs are allocated whole, so the slice of one step is not counted again.
    (body,) = inner
    pairs = zip(equation.invars, body.invars, strict=True)
    parts = sum(_bytes(part) for whole, part in pairs if _shape(whole) != _shape(part))
    return made + parts + peak_bytes(body)


def _inner(equation: JaxprEqn) -> list[Jaxpr]:
    """Jaxprs inside an equation; not those of Pallas kernels, whose temporaries stay on the chip."""
    return [] if equation.primitive.name == "pallas_call" else inner_jaxprs(equation)


def _variables(atoms: Iterable[Any]) -> list[Any]:
    return [x for x in atoms if not isinstance(x, Literal)]


def _bytes(x: Any) -> int:
    return math.prod(_shape(x)) * x.aval.dtype.itemsize


def _shape(x: Any) -> tuple[int, ...]:
    return x.aval.shape


def _bytes_a_row(trace: Callable[[int], ClosedJaxpr]) -> float:
    few, many = (peak_bytes(trace(rows).jaxpr) for rows in (_ROWS, 2 * _ROWS))
    return (many - few) / _ROWS


def _trace(function: Callable[..., Any], *shapes: Any) -> ClosedJaxpr:
    # Traced for a TPU: its attention kernel keeps no logits, like that of GPUs, which needs a GPU to be traced.
    return trace(function, *shapes, platform="tpu")


def _unplaced(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def _with_rows(tree: Any, rows: int) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype), tree)


def rows_of(batch: Any) -> int:
    """Rows of a placed batch on one device."""
    leaf = jax.tree.leaves(batch)[0]
    return leaf.sharding.shard_shape(leaf.shape)[0]


def _gathered(params: Params, mesh: AnyMesh, dtype: Any, trains: Callable[[str], bool]) -> int:
    """Bytes of gathered weights at a time: two layers of the largest stack, and the gradients of one."""
    if mesh.shape["fsdp"] * mesh.shape["tensor"] == 1:
        return 0
    stacks: dict[str, int] = defaultdict(int)

    def add(path: str, leaf: Any) -> None:
        stack, inside, _ = path.partition("blocks/")
        if inside:
            layer = math.prod(leaf.shape[1:])
            stacks[stack] += layer * (2 * jnp.dtype(dtype).itemsize + leaf.dtype.itemsize * trains(path))

    map_paths(add, params)
    return max(stacks.values(), default=0)
