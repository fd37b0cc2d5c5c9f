"""Live comparison of CLAP (sounds and texts) with transformers. `MTV_JAX_SEED` draws weights, sizes and sounds."""

import functools
import json
import os
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model
from mtv_jax.models.clap import Clap, ClapFeatureConfig, clap_features, load_clap_tokenizer
from mtv_jax.models.clap.swin import Stage
from mtv_jax.weights import clap as table
from mtv_jax.weights.rules import to_state
from tests.clap_folders import write_tokenizer

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def random_sizes(rng: np.random.Generator, fused: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sizes of the halves."""
    window, patch, stages = int(rng.choice([2, 4])), int(rng.choice([2, 3])), int(rng.integers(2, 4))
    heads = [int(2**i * rng.choice([1, 2])) for i in range(stages)]
    ratio = int(rng.choice([2, 4]))
    spec = window * patch * 2 ** (stages - 1) * ratio
    width = 8 * int(rng.integers(1, 3))
    audio = {
        "spec_size": spec,
        "num_mel_bins": spec // ratio,
        "patch_size": patch,
        "patch_stride": [patch, patch],
        "patch_embeds_hidden_size": width,
        "depths": [int(depth) for depth in rng.integers(1, 4, stages)],
        "num_attention_heads": heads,
        "window_size": window,
        "mlp_ratio": float(rng.choice([1.5, 2.0])),
        "hidden_size": width * 2 ** (stages - 1),
        "enable_fusion": fused,
        "aff_block_r": int(rng.choice([2, 4])),
    }
    heads = int(rng.choice([2, 3]))
    text = {
        "vocab_size": 50,
        "hidden_size": 4 * heads,
        "num_hidden_layers": int(rng.integers(1, 4)),
        "num_attention_heads": heads,
        "intermediate_size": int(rng.integers(10, 30)),
        "max_position_embeddings": int(rng.integers(12, 20)),
        "layer_norm_eps": float(rng.choice([1e-12, 1e-5])),
    }
    return audio, text


def random_original(fused: bool):
    """A small random original with spectrograms, which of them are longer, and texts of which one is padded."""
    import transformers

    rng = np.random.default_rng(SEED)
    audio, text = random_sizes(rng, fused)
    config = transformers.ClapConfig(audio_config=audio, text_config=text, projection_dim=9)
    model: Any = transformers.ClapModel(config).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in (*model.named_parameters(), *model.named_buffers()):
            if not weight.is_floating_point():
                continue
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            elif weight.ndim == 1:
                weight.copy_(0.1 * noise + (1 if name.endswith(("weight", "var")) else 0))
    frames = int(rng.integers(9, 1 + audio["spec_size"] ** 2 // audio["num_mel_bins"]))
    mel = rng.normal(size=(3, 4 if fused else 1, frames, audio["num_mel_bins"])).astype(np.float32)
    tokens = rng.integers(3, 50, (2, 9))
    tokens[0, 5:] = 1
    return model, mel, np.array([True, False, True]), tokens


def theirs(original, mel, longer, tokens) -> dict[str, Any]:
    """Everything that transformers gives."""
    mask = torch.from_numpy(tokens != 1).long()
    longer = torch.from_numpy(longer[:, None])
    with torch.no_grad():
        ids, mel = torch.from_numpy(tokens), torch.from_numpy(mel)
        out = original(input_ids=ids, attention_mask=mask, input_features=mel, is_longer=longer)
        encoder = original.audio_model.audio_encoder
        stages = encoder(mel, is_longer=longer, output_hidden_states=True).hidden_states[1:]
        texts = original.text_model(ids, attention_mask=mask, output_hidden_states=True).hidden_states[1:]
    return {
        "stages": [stage.movedim(1, -1).numpy() for stage in stages],
        "layers": [layer.numpy() for layer in texts],
        "audio": out.audio_embeds.numpy(),
        "text": out.text_embeds.numpy(),
        "logits": (out.logits_per_audio.numpy(), out.logits_per_text.numpy()),
    }


@pytest.mark.parametrize("fused", [False, True])
def test_every_stage_and_layer_agrees(fused, tmp_path):
    original, mel, longer, tokens = random_original(fused)
    original.save_pretrained(tmp_path)
    model, params = load_model(tmp_path)
    want = theirs(original, mel, longer, tokens)

    def is_stage(module, method) -> bool:
        return isinstance(module, Stage)

    apply = functools.partial(model.apply, mutable=["intermediates"], capture_intermediates=is_stage)
    logits, seen = jax.jit(apply)(params, mel, tokens, longer)
    for i, stage in enumerate(want["stages"]):
        assert relative(seen["intermediates"]["audio"][f"stage_{i}"]["__call__"][0], stage) < 1e-4, i
    layers = seen["intermediates"]["text"]["blocks"]["output"][0]
    assert len(layers) == len(want["layers"])
    for i, (ours, layer) in enumerate(zip(layers, want["layers"], strict=True)):
        assert relative(np.asarray(ours)[tokens != 1], layer[tokens != 1]) < 1e-4, i
    for ours, found in zip(logits, want["logits"], strict=True):
        assert relative(ours, found) < 1e-4
    for dtype, bound in ((jnp.float32, 1e-4), (jnp.bfloat16, 2e-2)):
        found = embeddings(Clap(model.config, dtype=dtype), params, mel, longer, tokens)  # pyright: ignore
        for ours, name in zip(found, ("audio", "text"), strict=True):
            assert np.sqrt(((ours - want[name]) ** 2).mean() / (want[name] ** 2).mean()) < bound, name


def embeddings(model: Clap, params, mel, longer, tokens) -> list[np.ndarray]:
    """Of sounds and texts, of unit length."""

    def both(module, *inputs):
        return module.audio_features(*inputs), module.text_features(tokens)

    found = map(np.asarray, jax.jit(functools.partial(model.apply, method=both))(params, mel, longer))
    return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in found]


@pytest.mark.parametrize("fused", [False, True])
def test_what_we_write_is_what_transformers_reads(fused, tmp_path):
    import transformers

    original, mel, longer, tokens = random_original(fused)
    original.save_pretrained(tmp_path / "theirs")
    model, params = load_model(tmp_path / "theirs")
    ours = tmp_path / "ours"
    ours.mkdir()
    save_file(to_state(params, table.RULES), ours / "model.safetensors", metadata={"format": "pt"})
    config: Any = model.config  # pyright: ignore[reportAttributeAccessIssue]
    (ours / "config.json").write_text(json.dumps(table.config_to_json(config)))
    again, report = transformers.ClapModel.from_pretrained(ours, output_loading_info=True)
    assert not report["unexpected_keys"]
    buffers = ("position_ids", "type_ids", "position_index", "batches_tracked")
    assert not [key for key in report["missing_keys"] if not key.endswith(buffers)]
    before, after = (theirs(network.eval(), mel, longer, tokens) for network in (original, again))
    np.testing.assert_array_equal(before["logits"][0], after["logits"][0])


@pytest.mark.parametrize("truncation", ["rand_trunc", "fusion"])
@pytest.mark.parametrize("seconds", [0.7, 3.4, 10, 10.005, 27.3])
def test_spectrograms_are_those_of_the_extractor(truncation, seconds):
    """With the released options. Of what the extractor draws from, the middle is taken."""
    import transformers

    rng = np.random.default_rng(SEED)
    times = np.arange(round(seconds * 48_000)) / 48_000
    sound = (0.4 * np.sin(2e3 * times**1.5) * (times % 1 < 0.7) + 1e-3 * rng.normal(size=len(times))).astype(
        np.float32
    )
    middle = {
        "randint": lambda low, high: (low + high - 1) // 2,
        "choice": lambda those: those[len(those) // 2],
    }
    extractor: Any = transformers.ClapFeatureExtractor(frequency_min=50, truncation=truncation)
    with mock.patch.multiple(np.random, **middle):
        want, longer = extractor._get_input_mel(sound, 480_000, truncation, "repeatpad")
    mels, ours = clap_features(sound, ClapFeatureConfig(truncation=truncation))
    assert ours[0] == longer
    if len(mels) % 2:  # of an even number of windows none is in the middle
        # torch rounds the places of the shortened view once less (a fused product), where a band may rise by 70 dB.
        atol = 1e-2 if truncation == "fusion" else 5e-4
        np.testing.assert_allclose(mels[len(mels) // 2], want, atol=atol)


def test_options_of_a_saved_extractor_are_read(tmp_path):
    import transformers

    extractor: Any = transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc")
    extractor.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert table.feature_config_from_json(values) == ClapFeatureConfig()
    assert table.feature_config_from_json({}).truncation == transformers.ClapFeatureExtractor().truncation


def test_tokens_are_those_of_transformers(tmp_path):
    import transformers

    write_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    texts = [
        "dog barking",
        "A cat, meowing: 3 times!",
        " rain  on a tin roof ",
        "Überraschung \U0001f600",
        "",
    ]
    want = transformers.AutoTokenizer.from_pretrained(tmp_path)(texts, padding=True).input_ids
    np.testing.assert_array_equal(load_clap_tokenizer(tmp_path).encode(texts), want)
