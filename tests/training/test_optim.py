"""The optimiser's arithmetic, schedule and rules."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.training.optim import (
    OptimizerConfig,
    learning_rate_schedule,
    make_optimizer,
    update_average,
)


def test_the_rate_warms_up_and_falls_to_nothing():
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=4)
    rates = [float(learning_rate_schedule(config, 8)(step)) for step in range(9)]
    np.testing.assert_allclose(rates, [0.5, 1.0, 1.5, 2.0, 2.0, 1.5, 1.0, 0.5, 0.0])


def test_the_first_steps_can_be_held_low():
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=4, start_steps=3, start_factor=0.3)
    rates = [float(learning_rate_schedule(config, 8)(step)) for step in range(5)]
    np.testing.assert_allclose(rates, [0.5, 0.6, 0.6, 2.0, 2.0], rtol=1e-6)


def test_a_constant_rate_stays_after_the_warm_up():
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=2, schedule="constant")
    rates = [float(learning_rate_schedule(config, 8)(step)) for step in range(5)]
    np.testing.assert_allclose(rates, [1.0, 2.0, 2.0, 2.0, 2.0])


def test_updates_are_adam_with_clip_decay_and_factors_by_path():
    config = OptimizerConfig(
        learning_rate=0.1,
        schedule="constant",
        weight_decay=0.5,
        clip_norm=1.0,
        lr_factors=(("slow/.*", 0.1),),
    )
    params = {
        "params": {"fast": {"kernel": jnp.full(2, 2.0), "bias": jnp.ones(2)}, "slow": {"kernel": jnp.ones(2)}}
    }
    grads = jax.tree.map(lambda x: 100.0 * x, params)
    optimizer = make_optimizer(config, learning_rate_schedule(config, 10))
    updates: Any
    state: Any = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    # Adam's first step is the sign of the gradient, whatever its size; kernels also shrink by half.
    flat = updates["params"]
    np.testing.assert_allclose(flat["fast"]["kernel"], -0.1 * (1 + 0.5 * 2), rtol=1e-5)
    np.testing.assert_allclose(flat["fast"]["bias"], -0.1, rtol=1e-5)
    np.testing.assert_allclose(flat["slow"]["kernel"], -0.1 * 0.1 * (1 + 0.5), rtol=1e-5)
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(grads)))
    np.testing.assert_allclose(state[1].mu["params"]["slow"]["kernel"], 0.1 * 100 / norm, rtol=1e-5)


def test_the_average_moves_towards_the_parameters():
    average = update_average(
        {"params": {"a": jnp.zeros(1)}}, {"params": {"a": jnp.ones(1)}}, 0.75, jax.random.key(0)
    )
    assert average["params"]["a"] == pytest.approx(0.25)
