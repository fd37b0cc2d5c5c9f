"""Group norm: its statistics, and the type it computes in."""

import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.ops.norms import group_norm


def test_each_group_of_channels_gets_mean_0_and_variance_1():
    x = np.random.default_rng(0).normal(100, 5, (2, 3, 4, 5, 6)).astype(np.float32)
    y = np.asarray(group_norm(x, np.ones(6), np.zeros(6), groups=3, eps=1e-6))
    for group in np.split(y, 3, axis=-1):
        np.testing.assert_allclose(group.reshape(2, -1).mean(1), 0, atol=1e-4)
        np.testing.assert_allclose(group.reshape(2, -1).std(1), 1, atol=1e-4)
    scaled = group_norm(x, np.arange(6.0), np.ones(6), groups=3, eps=1e-6)
    np.testing.assert_allclose(scaled, y * np.arange(6) + 1, rtol=1e-5, atol=1e-5)


def test_bfloat16_input_is_normalised_in_float32():
    x = jnp.asarray(np.random.default_rng(0).normal(50, 1, (1, 8, 8, 4)), jnp.bfloat16)
    y = group_norm(x, jnp.ones(4, jnp.bfloat16), jnp.zeros(4, jnp.bfloat16), groups=2, eps=1e-6)
    exact = group_norm(x.astype(jnp.float32), jnp.ones(4), jnp.zeros(4), groups=2, eps=1e-6)
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, exact)


def test_channels_must_divide_into_the_groups():
    with pytest.raises(ValueError, match="6 channels do not divide into 4 groups"):
        group_norm(np.ones((1, 2, 6)), np.ones(6), np.zeros(6), groups=4, eps=1e-6)
