"""Optimiser state and averages in bfloat16."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.training.low_precision import stochastic_round, stored_in_bfloat16
from mtv_jax.training.optim import OptimizerConfig, update_average


def test_rounding_is_right_on_average_and_gives_neighbours():
    x = jnp.full(20_000, 1.0 + 0.3 * 2**-7)  # three tenths of the way to the next bfloat16
    rounded = np.asarray(stochastic_round(x, jax.random.key(0)), np.float32)
    assert set(np.unique(rounded)) == {1.0, 1.0 + 2**-7}
    # Standard error of the mean: 2**-7 * sqrt(.3 * .7 / 20000), so four of them.
    assert abs(rounded.mean() - float(x[0])) < 4 * 2**-7 * np.sqrt(0.21 / 20_000)


def test_values_that_bfloat16_has_and_infinities_stay():
    x = jnp.array([0.0, -1.5, jnp.inf, -jnp.inf, 3e38])
    np.testing.assert_array_equal(
        np.asarray(stochastic_round(x, jax.random.key(1)), np.float32)[:4], np.asarray(x)[:4]
    )


def test_an_average_in_bfloat16_follows_slow_decay():
    params = {"params": {"w": jnp.ones(4000)}}
    average = {"params": {"w": jnp.zeros(4000, jnp.bfloat16)}}

    def body(i, average):
        return update_average(average, params, 0.999, jax.random.fold_in(jax.random.key(0), i))

    after = jax.lax.fori_loop(0, 2000, body, average)["params"]["w"]
    assert after.dtype == jnp.bfloat16
    assert float(after.astype(jnp.float32).mean()) == pytest.approx(1 - 0.999**2000, abs=5e-3)


def test_moments_in_bfloat16_lead_the_same_way():
    exact, stored = optax.scale_by_adam(0.9, 0.95), stored_in_bfloat16(optax.scale_by_adam(0.9, 0.95))
    params = jnp.zeros(100)
    states: list[Any] = [exact.init(params), stored.init(params)]
    assert states[1].mu.dtype == states[1].nu.dtype == jnp.bfloat16
    for i in range(20):
        grads = jax.random.normal(jax.random.key(i), params.shape)
        one: Any
        two: Any
        one, states[0] = exact.update(grads, states[0])
        two, states[1] = stored.update(grads, states[1])
        assert two.dtype == jnp.float32
        np.testing.assert_allclose(two, one, atol=0.03)


def test_other_types_are_named():
    with pytest.raises(UserError, match=r"optimizer\.ema_dtype 'float16'"):
        OptimizerConfig(ema_dtype="float16")
