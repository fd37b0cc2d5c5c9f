"""Live comparison of wav2vec2 with transformers. `MTV_JAX_SEED` draws weights and odd sizes."""

import functools
import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mtv_jax.models.wav2vec2 import Wav2Vec2, normalise_waveform
from mtv_jax.weights import wav2vec2 as table
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.rules import to_params, to_state

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
STYLES = {
    "base": {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False},
    "large": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
}


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def random_original(style: str):
    """A tiny random original of odd sizes, and waveforms."""
    import transformers

    rng = np.random.default_rng(SEED)
    groups, heads = int(rng.choice([2, 4])), int(rng.choice([2, 4]))
    config = transformers.Wav2Vec2Config(
        hidden_size=8 * int(rng.integers(2, 6)),
        num_hidden_layers=int(rng.integers(2, 4)),
        num_attention_heads=heads,
        intermediate_size=int(rng.integers(20, 60)),
        conv_dim=[int(n) for n in rng.integers(8, 24, 7)],
        num_conv_pos_embeddings=int(rng.integers(5, 40)),
        num_conv_pos_embedding_groups=groups,
        **STYLES[style],
    )
    model = transformers.Wav2Vec2Model(config).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("original0"):
                weight.copy_(1 + 0.2 * noise.abs())
            elif weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            else:
                weight.copy_(0.1 * noise + (1 if "norm.weight" in name else 0))
    samples = int(rng.integers(4000, 9000))
    waves = np.stack([normalise_waveform(rng.normal(size=samples)) for _ in range(2)])
    return model, waves, int(rng.integers(3, 40))


def load(folder):
    """Our module and parameters from a folder that transformers saved, and its tensors."""
    state = load_file(folder / "model.safetensors")
    model = Wav2Vec2(table.config_from_json(json.loads((folder / "config.json").read_text())))
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, model.config.receptive_field)))
    params = to_params(Canonical(state, table.ALIASES), table.RULES, shapes, ignored=table.IGNORED)
    return model, params, state


def at_frame_rate(original, waves: Any, frames: int) -> list[np.ndarray]:
    """The original's hidden states with the features of the convolutions interpolated (MTV)."""
    features = original.feature_extractor(waves)
    features = torch.nn.functional.interpolate(features, size=frames, mode="linear", align_corners=True)
    x, _ = original.feature_projection(features.transpose(1, 2))
    states = []
    hooks = [
        layer.register_forward_hook(lambda *a: states.append(a[-1])) for layer in original.encoder.layers
    ]
    original.encoder(x)
    for hook in hooks:
        hook.remove()
    return [state.numpy() for state in states]


@pytest.mark.parametrize("style", ["base", "large"])
def test_every_hidden_state_agrees(style, tmp_path):
    original, waves, frames = random_original(style)
    original.save_pretrained(tmp_path)
    model, params, _ = load(tmp_path)
    with torch.no_grad():
        out = original(torch.from_numpy(waves), output_hidden_states=True)
        stretched = at_frame_rate(original, torch.from_numpy(waves), frames)
    hidden = jax.jit(model.apply)(params, waves)
    assert hidden.shape[1] == len(out.hidden_states)
    for layer, want in enumerate(out.hidden_states):
        assert relative(hidden[:, layer], want.numpy()) < 1e-4, layer
    last = model.apply(params, hidden, method="last_hidden_state")
    assert relative(last, out.last_hidden_state.numpy()) < 1e-4
    at_rate = jax.jit(functools.partial(model.apply, num_frames=frames))(params, waves)
    for layer, want in enumerate(stretched):
        assert relative(at_rate[:, layer + 1], want) < 1e-4, layer
    half = Wav2Vec2(model.config, dtype=jnp.bfloat16)
    hidden = jax.jit(half.apply)(params, waves)
    for layer, want in enumerate(out.hidden_states):
        assert relative(hidden[:, layer], want.numpy()) < 2e-2, layer


@pytest.mark.parametrize("style", ["base", "large"])
def test_gradients_agree(style, tmp_path):
    original, waves, _ = random_original(style)
    original.save_pretrained(tmp_path)
    model, params, _ = load(tmp_path)

    def loss(params, waves):
        hidden: Any = model.apply(params, waves)
        return jnp.mean(jnp.sin(hidden[:, -1]))

    value, (gradient, wave_gradient) = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(params, waves)
    inputs = torch.from_numpy(waves).requires_grad_()
    theirs = torch.sin(original(inputs, output_hidden_states=True).hidden_states[-1]).mean()
    theirs.backward()
    assert abs(float(value) - theirs.item()) < 1e-3 * abs(theirs.item()) + 1e-7
    assert relative(wave_gradient, inputs.grad.numpy()) < 1e-3
    ours = to_state(gradient, table.RULES)
    named = {canonical(key): weight for key, weight in original.named_parameters()}
    for key in (
        "feature_extractor.conv_layers.1.conv.weight",
        "encoder.pos_conv_embed.conv.weight_v",
        "encoder.layers.0.attention.k_proj.weight",
        "encoder.layers.1.feed_forward.output_dense.weight",
    ):
        assert relative(ours[key], named[key].grad.numpy()) < 1e-3, key


def canonical(key: str) -> str:
    (name,) = Canonical({key: np.zeros(())}, table.ALIASES)
    return name


@pytest.mark.parametrize("style", ["base", "large"])
def test_what_we_write_is_what_transformers_reads(style, tmp_path):
    import transformers

    original, _, _ = random_original(style)
    original.save_pretrained(tmp_path / "theirs")
    model, params, state = load(tmp_path / "theirs")
    back = to_state(params, table.RULES)
    assert set(back) == set(Canonical(state, table.ALIASES))
    ours = tmp_path / "ours"
    ours.mkdir()
    save_file(back, ours / "model.safetensors", metadata={"format": "pt"})
    (ours / "config.json").write_text(json.dumps(table.config_to_json(model.config)))
    again, report = transformers.Wav2Vec2Model.from_pretrained(ours, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for key, tensor in original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


def test_normalisation_is_the_feature_extractors():
    import transformers

    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    rng = np.random.default_rng(SEED)
    for scale in (1.0, 3e-4, 0.0):
        wave = (scale * rng.normal(size=5000) + scale).astype(np.float32)
        want = extractor(wave, sampling_rate=16_000, return_tensors="np").input_values[0]
        np.testing.assert_allclose(normalise_waveform(wave), want, atol=2e-6)
