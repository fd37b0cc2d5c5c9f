"""Causal convolution: what it sums, what it may see, and that chunks make no difference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mtv_jax.ops import block_conv
from mtv_jax.ops.causal_conv import causal_conv3d, conv2d


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def plain(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """XLA's own 3D convolution after repeating the first frame twice."""
    x = np.concatenate([x[:, :1], x[:, :1], x], axis=1)
    padding = [(0, 0), (1, 1), (1, 1)]
    names = ("NDHWC", "DHWIO", "NDHWC")
    return np.asarray(lax.conv_general_dilated(x, kernel, (1, 1, 1), padding, dimension_numbers=names))


@pytest.mark.parametrize("channels", [3, block_conv._FEW_CHANNELS + 4])
def test_is_a_convolution_behind_the_repeated_first_frame(channels):
    x, kernel = random(0, 2, 5, 4, 6, channels), random(1, 3, 3, 3, channels, 5)
    y, cache = causal_conv3d(x, kernel)
    np.testing.assert_allclose(y, plain(x, kernel), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(cache, x[:, -2:])


@pytest.mark.parametrize("backend", ["cpu", "tpu"])
def test_a_lone_frame_is_as_one_that_stands_still(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    frame, kernel = random(0, 2, 1, 4, 6, 4), random(1, 3, 3, 3, 4, 5)
    still = np.repeat(frame, 3, axis=1)
    lone, cache = causal_conv3d(frame, kernel)
    standing, later = causal_conv3d(still, kernel)
    np.testing.assert_allclose(lone, standing[:, 2:], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(cache, later)

    def loss(x, kernel):
        return jnp.sum(jnp.sin(causal_conv3d(x, kernel)[0][:, -1]))

    by_frame, by_kernel = jax.jit(jax.grad(loss, (0, 1)))(frame, kernel)
    by_still, want = jax.jit(jax.grad(loss, (0, 1)))(still, kernel)
    np.testing.assert_allclose(by_frame, by_still.sum(1, keepdims=True), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_kernel, want, rtol=1e-4, atol=1e-4)


def test_a_kernel_of_one_frame_keeps_nothing_and_sees_each_frame_alone():
    x, kernel = random(0, 1, 3, 4, 4, 3), random(1, 1, 3, 3, 3, 5)
    whole, cache = causal_conv3d(x, kernel)
    assert cache.shape == (1, 0, 4, 4, 3)
    for i in range(3):
        alone, _ = causal_conv3d(x[:, i : i + 1], kernel, cache if i else None)
        np.testing.assert_allclose(whole[:, i : i + 1], alone, rtol=1e-5, atol=1e-5)


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


@pytest.mark.parametrize("size", [(6, 5), (7, 4), (3, 9)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_blocks_sum_the_same_as_one_convolution(monkeypatch, dtype, size):
    """Blocks of one and of several rows, of a height that few numbers divide, and frame by frame."""
    monkeypatch.setattr(block_conv, "_BLOCK_CELLS", 10)
    monkeypatch.setattr(block_conv, "_LARGE_FRAME", 0)
    x = jnp.asarray(random(0, 2, 5, *size, 3), dtype)
    kernel = jnp.asarray(random(1, 3, 3, 3, 3, 5), dtype)
    y, _ = causal_conv3d(x, kernel)
    assert y.dtype == jnp.float32
    exact = plain(np.asarray(x, np.float32), np.asarray(kernel, np.float32))
    np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_blocks_have_the_gradient_of_the_convolution(monkeypatch, dtype):
    monkeypatch.setattr(block_conv, "_LARGE_FRAME", 0)
    x = jnp.asarray(random(0, 1, 3, 4, 4, 3), dtype)
    kernel = jnp.asarray(random(1, 3, 3, 3, 3, 2), dtype)

    def loss(x, kernel):
        return jnp.sum(jnp.sin(causal_conv3d(x, kernel)[0]))

    here = jax.jit(jax.grad(loss, (0, 1)))(x, kernel)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    there = jax.jit(jax.grad(lambda *args: loss(*args), (0, 1)))(
        x.astype(jnp.float32), kernel.astype(jnp.float32)
    )
    tolerance = 1e-4 if dtype == "float32" else 0.03
    for mine, exact in zip(here, there, strict=True):
        assert mine.dtype == x.dtype
        np.testing.assert_allclose(mine.astype(jnp.float32), exact, rtol=tolerance, atol=tolerance)


def test_bfloat16_is_multiplied_as_it_is():
    x, kernel = jnp.ones((1, 3, 4, 4, 20), jnp.bfloat16), jnp.ones((3, 3, 3, 20, 4), jnp.bfloat16)
    text = jax.jit(causal_conv3d).lower(x, kernel).as_text()
    assert "stablehlo.convolution" not in text
    assert "dot_general" in text


def test_conv2d_pads_after_the_last_row_and_column_on_request():
    x, kernel = random(0, 1, 2, 4, 6, 3), random(1, 3, 3, 3, 5)
    y = conv2d(x, kernel, stride=2, padding=(0, 1))
    corner = np.einsum("yxc,yxcd->d", x[0, 1, 2:4, 4:6], kernel[:2, :2])
    assert y.shape == (1, 2, 2, 3, 5)
    np.testing.assert_allclose(y[0, 1, -1, -1], corner, rtol=1e-4, atol=1e-4)
