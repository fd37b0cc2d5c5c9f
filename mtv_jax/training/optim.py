"""The optimiser: Adam with clipping, decay and rates by path, a schedule, and the moving average."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.rules import check_matches, check_syntax, map_paths, match_rules, paths
from mtv_jax.training.low_precision import stochastic_round, stored_in_bfloat16
from mtv_jax.typing import Array, Key, Params

Schedule = Callable[[Any], Array]


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam as in MTV's training (its defaults are the paper's; see `learning_rate_schedule` and `make_optimizer`).

    Attributes:
      start_steps, start_factor: for the first `start_steps` steps the rate is at most `start_factor * learning_rate`.
      decay: expressions of the parameters that weight decay applies to; by default the kernels, so neither
        norms nor biases.
      trainable: expressions of the parameters that train; the rest is frozen.
      lr_factors: pairs (expression, factor on the learning rate); unmatched parameters have factor 1.
      ema_decay: of the moving average of the weights; 0 keeps none.
      moment_dtype, ema_dtype: what Adam's moments and the average are kept in, `float32` or `bfloat16` (half
        the memory; the average is rounded at random, so that small changes add up).
    """

    learning_rate: float = 1e-5
    schedule: Literal["linear", "constant"] = "linear"
    warmup_steps: int = 0
    start_steps: int = 0
    start_factor: float = 1.0
    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 1e-4
    decay: tuple[str, ...] = (".*kernel",)
    clip_norm: float = 0.1
    ema_decay: float = 0.9999
    trainable: tuple[str, ...] = (".*",)
    lr_factors: tuple[Any, ...] = ()
    moment_dtype: str = "float32"
    ema_dtype: str = "float32"

    def __post_init__(self):
        for name in ("moment_dtype", "ema_dtype"):
            if getattr(self, name) not in ("float32", "bfloat16"):
                raise UserError(f"optimizer.{name} {getattr(self, name)!r}: must be 'float32' or 'bfloat16'")
        if self.schedule not in ("linear", "constant"):
            raise UserError(f"optimizer.schedule {self.schedule!r}: must be 'linear' or 'constant'")
        if not self.trainable:
            raise UserError("optimizer.trainable is empty: nothing would train")
        if not 0 <= self.ema_decay < 1:
            raise UserError(f"optimizer.ema_decay {self.ema_decay}: must be at least 0 and below 1")
        check_syntax(self.decay, "optimizer.decay")
        check_syntax(self.trainable, "optimizer.trainable")
        for entry in self.lr_factors:
            if isinstance(entry, str) or len(entry) != 2:
                raise UserError(f"optimizer.lr_factors: {entry!r} is not a pair ('expression', factor)")
        check_syntax((pattern for pattern, _ in self.lr_factors), "optimizer.lr_factors")


def learning_rate_schedule(config: OptimizerConfig, num_steps: int) -> Schedule:
    """Learning rate of step s (from 0): linear warm-up, then constant or linearly to 0 at `num_steps`.

    MTV (code) holds the first 100 steps at min(5 % of the rate, warm-up): `start_steps`, `start_factor`.
    """
    warmup = config.warmup_steps

    def rate(step: Any) -> Array:
        rising = (step + 1) / max(warmup, 1)
        falling = jnp.clip((num_steps - step) / max(num_steps - warmup, 1), 0.0, 1.0)
        after = falling if config.schedule == "linear" else 1.0
        factor = jnp.where(step < warmup, rising, after)
        factor = jnp.where(step < config.start_steps, jnp.minimum(factor, config.start_factor), factor)
        return jnp.asarray(config.learning_rate * factor, jnp.float32)

    return rate


def make_optimizer(config: OptimizerConfig, schedule: Schedule) -> optax.GradientTransformation:
    """Clip by global norm, Adam, decoupled weight decay by path, learning-rate factors by path.

    `clip_norm` 0 does not clip.
    """
    decayed: Any = partial(decay_mask, config)
    steps = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    adam = optax.scale_by_adam(config.b1, config.b2, config.eps)
    steps.append(stored_in_bfloat16(adam) if config.moment_dtype == "bfloat16" else adam)
    if config.weight_decay:
        steps.append(optax.add_decayed_weights(config.weight_decay, mask=decayed))
    if config.lr_factors:
        steps.append(_scale_by_path(config.lr_factors))
    return optax.chain(*steps, optax.scale_by_learning_rate(schedule))


def decay_mask(config: OptimizerConfig, params: Params) -> Params:
    """True on the parameters that weight decay applies to."""
    rules = [(pattern, True) for pattern in config.decay]
    return map_paths(lambda path, _: match_rules(path, rules, False), params)


def is_trainable(config: OptimizerConfig) -> Callable[[str], bool]:
    """A predicate on paths: whether the parameter is trainable."""
    rules = [(pattern, True) for pattern in config.trainable]
    return lambda path: match_rules(path, rules, False)


def check_rules(config: OptimizerConfig, params: Params) -> None:
    """Raises UserError if a rule about what trains, or how fast, matches no parameter of the model."""
    names = paths(params)
    check_matches(config.trainable, names, "optimizer.trainable")
    check_matches([pattern for pattern, _ in config.lr_factors], names, "optimizer.lr_factors")


def update_average(average: Params, params: Any, decay: float, key: Key[Array, ""]) -> Params:
    """One step of the exponential moving average; `key` rounds one that is kept in bfloat16."""

    def update(a: Array, p: Array, number: int) -> Array:
        mean = decay * a.astype(jnp.float32) + (1 - decay) * p
        return mean if a.dtype == jnp.float32 else stochastic_round(mean, jax.random.fold_in(key, number))

    leaves, tree = jax.tree.flatten(average)
    news = [update(a, p, i) for i, (a, p) in enumerate(zip(leaves, jax.tree.leaves(params), strict=True))]
    return jax.tree.unflatten(tree, news)


def _scale_by_path(rules: tuple[tuple[str, float], ...]) -> optax.GradientTransformation:
    def scale(updates: optax.Updates, _params=None) -> optax.Updates:
        return map_paths(lambda path, u: u * match_rules(path, rules, 1.0), updates)

    return optax.stateless(scale)
