"""Live comparison of the text encoders with transformers. `MTV_JAX_SEED` draws weights and odd sizes."""

import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mtv_jax.models.t5 import T5Encoder
from mtv_jax.models.t5.model import relative_position_buckets
from mtv_jax.weights import t5 as table
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.rules import to_params, to_state

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
CLASSES = {"t5": ("T5Config", "T5EncoderModel"), "umt5": ("UMT5Config", "UMT5EncoderModel")}


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def random_original(family: str):
    """A tiny random original of odd sizes, tokens and a mask of at least one token a row."""
    import transformers

    rng = np.random.default_rng(SEED)
    config_class, model_class = (getattr(transformers, name) for name in CLASSES[family])
    config = config_class(
        vocab_size=int(rng.integers(40, 90)),
        d_model=int(rng.integers(5, 12)) * 4,
        d_kv=int(rng.integers(2, 6)) * 2,
        d_ff=int(rng.integers(30, 70)),
        num_layers=int(rng.integers(2, 4)),
        num_heads=int(rng.integers(2, 6)),
        relative_attention_num_buckets=int(rng.choice([8, 16, 32])),
        relative_attention_max_distance=int(rng.integers(20, 130)),
        feed_forward_proj="gated-gelu",
    )
    model = model_class(config).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            table_like = "embed" in name or "shared" in name or "relative" in name
            scale = 1.0 if table_like or weight.ndim == 1 else weight.shape[1] ** -0.5
            weight.copy_((1 + 0.2 * noise) if weight.ndim == 1 else scale * noise)
    length = int(rng.integers(30, 170))
    tokens = rng.integers(0, config.vocab_size, (3, length)).astype(np.int32)
    mask = np.arange(length) < rng.integers(1, length + 1, (3, 1))
    return model, tokens, mask


def load(folder, **options):
    """Our module and parameters from a folder that transformers saved, and its tensors."""
    state = load_file(folder / "model.safetensors")
    config = table.config_from_json(json.loads((folder / "config.json").read_text()))
    model = T5Encoder(config, **options)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
    params = to_params(Canonical(state, table.ALIASES), table.RULES, shapes, ignored=table.IGNORED)
    return model, params, state


def run(original, tokens, mask=None) -> np.ndarray:
    ids = torch.from_numpy(tokens).long()
    with torch.no_grad():
        out = original(input_ids=ids, attention_mask=None if mask is None else torch.from_numpy(mask).long())
    return out.last_hidden_state.numpy()


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_embeddings_agree_with_and_without_mask(family, tmp_path):
    original, tokens, mask = random_original(family)
    original.save_pretrained(tmp_path)
    model, params, _ = load(tmp_path)
    apply = jax.jit(model.apply)
    assert relative(apply(params, tokens), run(original, tokens)) < 1e-4
    assert relative(apply(params, tokens, mask), run(original, tokens, mask)) < 1e-4
    half = T5Encoder(model.config, dtype=jnp.bfloat16)
    got = np.asarray(jax.jit(half.apply)(params, tokens, mask), np.float32)
    assert relative(got, run(original, tokens, mask)) < 2e-2


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_gradients_agree(family, tmp_path):
    original, tokens, mask = random_original(family)
    original.save_pretrained(tmp_path)
    model, params, _ = load(tmp_path)
    weight = np.random.default_rng(SEED + 1).normal(size=(*tokens.shape, model.config.d_model))

    def loss(params):
        hidden: Any = model.apply(params, tokens, mask)
        return jnp.sum(hidden * weight) / weight.size

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    out = original(torch.from_numpy(tokens).long(), attention_mask=torch.from_numpy(mask).long())
    theirs = (out.last_hidden_state * torch.from_numpy(weight).float()).sum() / weight.size
    theirs.backward()
    assert abs(float(value) - theirs.item()) < 1e-3 * abs(theirs.item())
    ours = to_state(gradient, table.RULES)
    named = dict(original.named_parameters())
    for key in (
        "shared.weight",  # the input's side: the gradient with respect to the looked-up embeddings
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "encoder.block.1.layer.1.DenseReluDense.wi_0.weight",
    ):
        assert relative(ours[key], named[key].grad.numpy()) < 1e-3, key


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_what_we_write_is_what_transformers_reads(family, tmp_path):
    import transformers

    original, tokens, _ = random_original(family)
    original.save_pretrained(tmp_path / "theirs")
    model, params, state = load(tmp_path / "theirs")
    back = to_state(params, table.RULES)
    assert set(back) == set(Canonical(state, table.ALIASES))
    ours = tmp_path / "ours"
    ours.mkdir()
    save_file(back, ours / "model.safetensors", metadata={"format": "pt"})
    (ours / "config.json").write_text(json.dumps(table.config_to_json(model.config)))
    again, report = getattr(transformers, CLASSES[family][1]).from_pretrained(ours, output_loading_info=True)
    assert not report["unexpected_keys"]
    for key, tensor in original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    np.testing.assert_array_equal(run(again.eval(), tokens), run(original, tokens))


def test_every_bucket_agrees():
    from transformers.models.t5.modeling_t5 import T5Attention

    offsets = torch.arange(3000)[None, :] - torch.arange(0, 3000, 1499)[:, None]
    rng = np.random.default_rng(SEED)
    pairs = [(32, 128), (320, 800), *((int(n) * 4, int(n * m)) for n, m in rng.integers(2, 40, (20, 2)))]
    for buckets, distance in pairs:
        if distance <= buckets // 4:
            continue
        want = T5Attention._relative_position_bucket(offsets, num_buckets=buckets, max_distance=distance)
        got = relative_position_buckets(3000, 3000, buckets, distance)[::1499]
        np.testing.assert_array_equal(got, want.numpy(), err_msg=f"{buckets} buckets to {distance}")
