"""Attention backends agree with the formula, whatever the lengths, masks and biases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.ops import attention as module
from mtv_jax.ops.attention import attention, merge_heads, split_heads


@pytest.fixture
def qkv():
    keys = jax.random.split(jax.random.key(0), 3)
    return tuple(jax.random.normal(k, (2, n, 3, 8)) for k, n in zip(keys, (13, 9, 9), strict=True))


def by_hand(q, k, v, mask=None, bias=None):
    logits = np.einsum("bnhd,bmhd->bhnm", q, k) / np.sqrt(q.shape[-1])
    logits = logits if bias is None else logits + bias
    logits = logits if mask is None else np.where(mask, logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.einsum("bhnm,bmhd->bnhd", weights / weights.sum(-1, keepdims=True), v)


@pytest.mark.parametrize("backend", ["xla", "chunked"])
@pytest.mark.parametrize("extra", ["none", "key mask", "bias", "full mask"])
def test_backends_follow_the_formula(qkv, backend, extra, monkeypatch):
    monkeypatch.setattr(module, "_QUERY_CHUNK", 4)  # several chunks, the last one not full
    rng = np.random.default_rng(1)
    options = {
        "none": {},
        "key mask": {"mask": jnp.arange(9)[None, None, None] < jnp.array([5, 9])[:, None, None, None]},
        "bias": {"bias": jnp.asarray(rng.normal(size=(1, 3, 13, 9)), jnp.float32)},
        "full mask": {"mask": jnp.asarray(rng.random((2, 1, 13, 9)) < 0.8).at[..., 0].set(True)},
    }[extra]
    out = attention(*qkv, backend=backend, **options)
    np.testing.assert_allclose(out, by_hand(*map(np.asarray, qkv), **options), rtol=1e-5, atol=1e-6)


def test_chunked_has_the_same_gradient(qkv, monkeypatch):
    monkeypatch.setattr(module, "_QUERY_CHUNK", 4)

    def loss(backend):
        return jax.grad(lambda q, k, v: jnp.sum(jnp.sin(attention(q, k, v, backend=backend))), (0, 1, 2))(
            *qkv
        )

    for plain, chunked in zip(loss("xla"), loss("chunked"), strict=True):
        np.testing.assert_allclose(plain, chunked, rtol=1e-4, atol=1e-6)


def test_far_apart_logits_neither_overflow_nor_vanish(qkv):
    q, k, v = qkv
    out = attention(1e4 * q, k, v)
    np.testing.assert_allclose(out, by_hand(*map(np.asarray, (1e4 * q, k, v))), rtol=1e-4, atol=1e-4)
    assert np.isfinite(jax.grad(lambda q: attention(q, k, v).sum())(1e4 * q)).all()


def test_softmax_is_float32_for_bfloat16_inputs(qkv):
    low = [x.astype(jnp.bfloat16) for x in qkv]
    text = jax.jit(attention).lower(*low).as_text()
    assert "stablehlo.exponential" in text
    exponentials = [line for line in text.splitlines() if "stablehlo.exponential" in line]
    assert all("xf32>" in line for line in exponentials)


def test_unknown_backend_is_an_error(qkv):
    with pytest.raises(ValueError, match="chunked"):
        attention(*qkv, backend="flash")  # pyright: ignore[reportArgumentType]


def test_heads_split_and_merge():
    x = jnp.arange(24.0).reshape(1, 2, 12)
    assert split_heads(x, 3).shape == (1, 2, 3, 4)
    np.testing.assert_array_equal(merge_heads(split_heads(x, 3)), x)


def test_splash_follows_the_formula(monkeypatch):
    from mtv_jax.ops import splash

    monkeypatch.setattr(splash, "BLOCK", 128)
    q, k, v = (
        jax.random.normal(key, (2, n, 2, 64))
        for key, n in zip(jax.random.split(jax.random.key(3), 3), (150, 140, 140), strict=True)
    )
    out = attention(q, k, v, backend="splash")
    np.testing.assert_allclose(out, by_hand(*map(np.asarray, (q, k, v))), atol=2e-5)


def test_splash_has_the_same_gradient(monkeypatch):
    from mtv_jax.ops import splash

    monkeypatch.setattr(splash, "BLOCK", 128)
    qkv = [jax.random.normal(key, (1, 130, 1, 64)) for key in jax.random.split(jax.random.key(4), 3)]

    def gradients(backend):
        return jax.grad(lambda *x: jnp.sum(jnp.sin(attention(*x, backend=backend))), (0, 1, 2))(*qkv)

    for plain, kernel in zip(gradients("xla"), gradients("splash"), strict=True):
        np.testing.assert_allclose(plain, kernel, atol=2e-5)


def test_long_sequences_in_half_precision_go_to_cudnn_on_gpus(monkeypatch):
    real, asked = jax.nn.dot_product_attention, []

    def stand_in(q, k, v, *, scale, implementation):
        asked.append(implementation)
        return real(q, k, v, scale=scale, implementation="xla")

    monkeypatch.setattr(module, "_QUERY_CHUNK", 4)
    monkeypatch.setattr(module, "platform", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    keys = jax.random.split(jax.random.key(5), 3)
    low = [jax.random.normal(key, (1, 12, 2, 8), jnp.bfloat16) for key in keys]
    got = np.asarray(attention(*low), np.float32)
    np.testing.assert_allclose(got, by_hand(*(np.asarray(x, np.float32) for x in low)), atol=2e-2)
    attention(*(x.astype(jnp.float32) for x in low))
    assert asked == ["cudnn"]


@pytest.mark.parametrize(("name", "word"), [("flash", "use one of"), ("splash", "neither mask nor bias")])
def test_what_a_backend_cannot_do_is_named(qkv, name, word):
    with pytest.raises(ValueError, match=word):
        attention(*qkv, backend=name, mask=jnp.ones((1, 1, 1, 9), bool))
