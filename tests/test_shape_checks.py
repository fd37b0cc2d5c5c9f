"""The tests run the package with its annotations checked, array shapes among them."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from mtv_jax.ops.attention import attention, split_heads
from mtv_jax.ops.norms import group_norm


def test_a_wrong_shape_is_refused():
    q, k = jnp.zeros((1, 3, 2, 4)), jnp.zeros((1, 5, 2, 4))
    assert attention(q, k, k).shape == q.shape
    with pytest.raises(TypeCheckError, match="parameter 'v'"):
        attention(q, k, k[:, :4])
    with pytest.raises(TypeCheckError, match="parameter 'x'"):
        split_heads(q, 2)


def test_a_wrong_type_is_refused_and_arrays_of_numpy_are_right():
    ones = np.ones(6, np.float32)
    assert group_norm(np.ones((1, 2, 6), np.float32), ones, ones, groups=2, eps=1e-6).shape == (1, 2, 6)
    with pytest.raises(TypeCheckError, match="parameter 'x'"):
        group_norm(np.ones((1, 2, 6), np.int32), ones, ones, groups=2, eps=1e-6)
