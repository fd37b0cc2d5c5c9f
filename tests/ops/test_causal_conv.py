"""Causal convolution: what it sums, what it may see, and that chunks make no difference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mtv_jax.ops import causal_conv
from mtv_jax.ops.causal_conv import causal_conv3d, conv2d


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def plain(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """XLA's own 3D convolution after repeating the first frame twice."""
    x = np.concatenate([x[:, :1], x[:, :1], x], axis=1)
    padding = [(0, 0), (1, 1), (1, 1)]
    names = ("NDHWC", "DHWIO", "NDHWC")
    return np.asarray(lax.conv_general_dilated(x, kernel, (1, 1, 1), padding, dimension_numbers=names))


@pytest.mark.parametrize("channels", [3, causal_conv._FEW_CHANNELS + 4])
def test_is_a_convolution_behind_the_repeated_first_frame(channels):
    x, kernel = random(0, 2, 5, 4, 6, channels), random(1, 3, 3, 3, channels, 5)
    y, cache = causal_conv3d(x, kernel)
    np.testing.assert_allclose(y, plain(x, kernel), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(cache, x[:, -2:])


def test_every_backend_sums_the_same(monkeypatch):
    x, kernel = random(0, 1, 4, 4, 4, 6), random(1, 3, 3, 3, 6, 4)
    here, _ = causal_conv3d(x, kernel)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    there, _ = causal_conv3d(x, kernel)
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cuts", [(1, 2, 3), (3,), (4, 5)])
def test_chunks_with_the_cache_equal_the_whole(cuts):
    x, kernel = random(0, 1, 6, 3, 3, 4), random(1, 3, 3, 3, 4, 4)
    whole, _ = causal_conv3d(x, kernel)
    pieces, cache = [], None
    for chunk in np.split(x, cuts, axis=1):
        piece, cache = causal_conv3d(chunk, kernel, cache)
        pieces.append(piece)
    np.testing.assert_allclose(jnp.concatenate(pieces, axis=1), whole, rtol=1e-5, atol=1e-5)


def test_no_frame_sees_a_later_one():
    x, kernel = random(0, 1, 6, 3, 3, 4), random(1, 3, 3, 3, 4, 4)
    changed = x.copy()
    changed[:, 4:] += 1
    before, after = causal_conv3d(x, kernel)[0], causal_conv3d(changed, kernel)[0]
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert not np.allclose(before[:, 4], after[:, 4])


def test_conv2d_pads_after_the_last_row_and_column_if_told():
    x, kernel = random(0, 1, 2, 4, 6, 3), random(1, 3, 3, 3, 5)
    y = conv2d(x, kernel, stride=2, padding=(0, 1))
    corner = np.einsum("yxc,yxcd->d", x[0, 1, 2:4, 4:6], kernel[:2, :2])
    assert y.shape == (1, 2, 2, 3, 5)
    np.testing.assert_allclose(y[0, 1, -1, -1], corner, rtol=1e-4, atol=1e-4)
