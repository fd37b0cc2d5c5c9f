from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.ops.precision import convolution, dense, layer_norm, modulate


def test_products_of_bfloat16_are_added_and_returned_in_float32():
    x = jnp.ones((1, 511), jnp.bfloat16)
    layer = dense(1, jnp.bfloat16)
    params = {"params": {"kernel": jnp.full((511, 1), 1.0078125), "bias": jnp.zeros(1)}}
    y: Any = layer.apply(params, x)
    assert y.dtype == jnp.float32
    assert float(y[0, 0]) == 511 * 1.0078125  # bfloat16 has 512 and 516 thereabouts
    kernel = jnp.full((511, 1, 1), 1.0078125, jnp.bfloat16)
    z = convolution(x[..., None], kernel, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))
    assert z.dtype == jnp.float32
    assert float(z[0, 0, 0]) == 511 * 1.0078125


def test_layer_norm_keeps_small_deviations_from_a_large_mean():
    x = jnp.asarray(3000.0 + np.array([[-0.01, 0.01, -0.02, 0.02]]), jnp.float32)
    norm = layer_norm(1e-12)
    y: Any = norm.apply(norm.init(jax.random.key(0), x), x.astype(jnp.float32))
    want = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean()
    np.testing.assert_allclose(y, want / want.std(), rtol=1e-2)


def test_modulate_computes_in_float32_and_rounds_once():
    x, shift, scale = (jnp.full((1, 2), value, jnp.float32) for value in (1.0, -1.0, 2**-10))
    low = modulate(x, shift, scale, jnp.bfloat16)
    assert low.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(low, np.float32), 2**-10)
    assert modulate(x, shift, scale).dtype == jnp.float32
