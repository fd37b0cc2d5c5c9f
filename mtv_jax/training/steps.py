"""The train step: `(state, batch) -> (state, metrics)`, pure, and compiled once with its shardings."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, Sharding

from mtv_jax.models.shapes import init_key
from mtv_jax.ops.seeds import seed_key
from mtv_jax.sharding.mesh import batch_sharding, replicated
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.training import optim
from mtv_jax.training.optim import OptimizerConfig
from mtv_jax.training.state import TrainState, create_state, merge
from mtv_jax.training.tasks import Task
from mtv_jax.typing import Array, Key, Params

Metrics = dict[str, Array]
StepFunction = Callable[[TrainState, Any], tuple[TrainState, Metrics]]

_ROUNDING, _DRAWS = 2**32 - 1, 2**32 - 2
"""Key indices reserved outside the parts of a batch."""
_STREAMS = 2**31
"""Key index of the first stream: larger than any step."""

InitFunction = Callable[..., TrainState]
"""`(given=None) -> state`; `given` are parameters, all or some."""


def make_init(task: Task, config: OptimizerConfig, num_steps: int, seed: int, batch: Any) -> InitFunction:
    """A function that creates the initial state; the model takes its input shapes from `batch` (arrays or shapes).

    It accepts parameters to start from; missing ones are initialised at random.
    """
    optimizer = optim.make_optimizer(config, optim.learning_rate_schedule(config, num_steps))

    def init(given: Params | None = None) -> TrainState:
        params = task.init(init_key(seed), batch)
        params = params if given is None else merge(params, given)
        average_dtype = config.ema_dtype if config.ema_decay > 0 else None
        return create_state(params, optimizer, optim.is_trainable(config), average_dtype)

    return init


def make_step(
    task: Task,
    config: OptimizerConfig,
    num_steps: int,
    seed: int,
    *,
    stream: int = 0,
    accumulate: int = 1,
    batch_number: Callable[[Array], Array] = lambda step: step,
) -> StepFunction:
    """The step, not compiled. Its randomness depends only on `seed`, `stream` and the batch number.

    With `accumulate` the batch is split into that many parts, run one after another, and their gradients are averaged.
    `batch_number` maps a number of steps to the number of the next batch (`mtv_jax.training.skipping`).
    """
    schedule = optim.learning_rate_schedule(config, num_steps)
    optimizer = optim.make_optimizer(config, schedule)

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(_stream_key(seed, stream), batch_number(state.step))
        rows = jax.tree.leaves(batch)[0].shape[0]
        batch = batch | task.draw(jax.random.fold_in(key, _DRAWS), rows)
        loss, metrics, grads = _accumulated(task, state, batch, key, accumulate)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema is not None:
            ema = optim.update_average(ema, params, config.ema_decay, jax.random.fold_in(key, _ROUNDING))
        metrics |= {
            "loss": loss,
            "grad_norm": optax.tree.norm(grads),
            "learning_rate": schedule(state.step),
        }
        changed: Any = {"step": state.step + 1, "params": params, "opt_state": opt_state, "ema": ema}
        return dataclasses.replace(state, **changed), jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float32), metrics
        )

    return step


def _stream_key(seed: int, stream: int) -> Key[Array, ""]:
    """The key of all steps of a run; stream 0 is the seed's own."""
    key = seed_key(seed)
    return jax.random.fold_in(key, _STREAMS + stream) if stream else key


def _accumulated(
    task: Task, state: TrainState, batch: Any, key: Key[Array, ""], parts: int
) -> tuple[Array, Metrics, Params]:
    """Loss, metrics and gradients, averaged over the parts of a batch."""
    if parts == 1:
        return _gradients(task, state, batch, key)

    def one(total: Any, number: Array) -> tuple[Any, None]:
        # Every n-th row, so that each part is spread over all devices as the batch is.
        part = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:])[:, number], batch)
        found = _gradients(task, state, part, jax.random.fold_in(key, number))
        return jax.tree.map(jnp.add, total, found), None

    shapes = jax.eval_shape(lambda: _gradients(task, state, batch, key))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(one, zeros, jnp.arange(parts))
    return jax.tree.map(lambda x: x / parts, total)


def _gradients(
    task: Task, state: TrainState, batch: Any, key: Key[Array, ""]
) -> tuple[Array, Metrics, Params]:
    """Loss, metrics and the gradient with respect to the trainable parameters."""

    def loss(params: Params) -> tuple[Array, Metrics]:
        return task.loss(merge(params, state.frozen), batch, key)

    (value, metrics), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    return value, metrics, grads


def state_shardings(init: InitFunction, mesh: Mesh) -> tuple[TrainState, TrainState]:
    """The state's shapes and its shardings on `mesh`; nothing is computed."""
    shapes = jax.eval_shape(init)
    return shapes, tree_shardings(shapes, mesh)


def placed(shapes: Any, shardings: Any) -> Any:
    """Shapes with their shardings: a tree of them, or one for all."""
    if isinstance(shardings, Sharding):
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=shardings), shapes)
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)


def compile_init(init: InitFunction, shardings: TrainState, given: Params | None = None) -> TrainState:
    """Creates the initial state sharded on the mesh: no device ever holds all of it.

    `given` is donated.
    """
    return jax.jit(init, out_shardings=shardings, donate_argnums=0)(given)


def compile_step(step: StepFunction, shardings: TrainState, mesh: Mesh) -> StepFunction:
    """The jitted step. It donates the state: the input must not be used again."""
    jitted = jit_step(step, shardings, mesh)

    def run(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        with jax.set_mesh(mesh):
            return jitted(state, batch)

    return run


def jit_step(step: StepFunction, shardings: TrainState, mesh: Mesh) -> Any:
    """The `jax.jit`-wrapped step, to be called or lowered under `jax.set_mesh(mesh)`."""
    return jax.jit(
        step,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )
