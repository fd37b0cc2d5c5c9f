"""Live comparison of CLIP with transformers. `MTV_JAX_SEED` draws weights, odd sizes and pictures."""

import functools
import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model
from mtv_jax.models.clip import CLIP, clip_pixels
from mtv_jax.weights import clip as table
from mtv_jax.weights.rules import to_state

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
STYLES = {
    "openai": {"hidden_act": "quick_gelu"},
    "openclip": {"hidden_act": "gelu", "layer_norm_eps": 1e-6},
}


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def tower(rng: np.random.Generator) -> dict[str, int]:
    heads = int(rng.choice([2, 3, 4]))
    return {
        "hidden_size": heads * 8 * int(rng.integers(1, 3)),
        "num_attention_heads": heads,
        "num_hidden_layers": int(rng.integers(1, 4)),
        "intermediate_size": int(rng.integers(20, 60)),
    }


def random_original(style: str, end: int | None = None):
    """A tiny random original of odd sizes, with pictures and texts. `end` is the id of the end token."""
    import transformers

    rng = np.random.default_rng(SEED)
    words, length, size = int(rng.integers(30, 60)), int(rng.integers(5, 12)), int(rng.integers(20, 40))
    end = words - 1 if end is None else end
    text = tower(rng) | {"vocab_size": words, "max_position_embeddings": length, "eos_token_id": end}
    vision = tower(rng) | {"image_size": size, "patch_size": int(rng.integers(5, 10))}
    config = transformers.CLIPConfig(
        text_config=text | STYLES[style],
        vision_config=vision | STYLES[style],
        projection_dim=int(rng.integers(8, 30)),
    )
    model: Any = transformers.CLIPModel(config).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            elif weight.ndim == 1:
                weight.copy_(0.1 * noise + (1 if "norm" in name and name.endswith("weight") else 0))
    pixels = rng.normal(size=(3, size, size, 3)).astype(np.float32)
    tokens = rng.integers(3, words - 1, (2, length))
    tokens[0, length // 2 :], tokens[1, -1] = words - 1, words - 1
    return model, pixels, tokens


def theirs(original, pixels, tokens):
    """What transformers gives."""
    with torch.no_grad():
        return original(
            input_ids=torch.from_numpy(tokens),
            pixel_values=torch.from_numpy(np.moveaxis(pixels, -1, 1).copy()),
            output_hidden_states=True,
        )


@pytest.mark.parametrize("style", STYLES)
def test_every_layer_agrees(style, tmp_path):
    original, pixels, tokens = random_original(style)
    original.save_pretrained(tmp_path)
    model, params = load_model(tmp_path)
    out = theirs(original, pixels, tokens)
    logits, seen = jax.jit(functools.partial(model.apply, mutable=["intermediates"]))(params, pixels, tokens)
    for name in ("vision", "text"):
        want = getattr(out, f"{name}_model_output").hidden_states[1:]
        got = seen["intermediates"][name]["blocks"]["output"][0]
        assert len(got) == len(want)
        for layer, (ours, state) in enumerate(zip(got, want, strict=True)):
            assert relative(ours, state.numpy()) < 1e-4, (name, layer)
    assert relative(logits, out.logits_per_image.numpy()) < 1e-4
    want = [getattr(out, f"{name}_model_output").pooler_output.numpy() for name in ("vision", "text")]
    for ours, theirs_ in zip(features(model)(params, pixels, tokens), want, strict=True):
        assert relative(ours, theirs_) < 1e-4
    half = CLIP(model.config, dtype=jnp.bfloat16)  # pyright: ignore[reportAttributeAccessIssue]
    for ours, theirs_ in zip(features(half)(params, pixels, tokens), want, strict=True):
        assert np.sqrt(((ours - theirs_) ** 2).mean() / (theirs_**2).mean()) < 2e-2


def features(model: Any):
    """Features of pictures and texts, compiled."""

    def both(module: Any, pixels, tokens):
        return module.image_features(pixels), module.text_features(tokens)

    return jax.jit(functools.partial(model.apply, method=both))


@pytest.mark.parametrize("end", [2, 7])
def test_texts_end_where_transformers_says(end, tmp_path):
    """2 stands for the highest id; any other id is the end token's own."""
    original, pixels, tokens = random_original("openai", end)
    tokens[:, 1] = 7
    original.save_pretrained(tmp_path)
    model, params = load_model(tmp_path)
    want = theirs(original, pixels, tokens).text_model_output.pooler_output.numpy()
    assert relative(features(model)(params, pixels, tokens)[1], want) < 1e-4


@pytest.mark.parametrize("style", STYLES)
def test_gradients_agree(style, tmp_path):
    original, pixels, tokens = random_original(style)
    original.save_pretrained(tmp_path)
    model, params = load_model(tmp_path)

    def loss(params: Any) -> Any:
        logits: Any = model.apply(params, pixels, tokens)
        return jnp.mean(jnp.sin(logits))

    ours = to_state(jax.jit(jax.grad(loss))(params), table.RULES)
    pictures = torch.from_numpy(np.moveaxis(pixels, -1, 1).copy())
    torch.sin(
        original(input_ids=torch.from_numpy(tokens), pixel_values=pictures).logits_per_image
    ).mean().backward()
    for key, weight in original.named_parameters():
        if np.abs(weight.grad.numpy()).max() > 1e-7:  # the bias of keys has none
            assert relative(ours[key], weight.grad.numpy()) < 2e-3, key


@pytest.mark.parametrize("style", STYLES)
def test_what_we_write_is_what_transformers_reads(style, tmp_path):
    import transformers

    original, pixels, tokens = random_original(style, end=2)
    original.save_pretrained(tmp_path / "theirs")
    model, params = load_model(tmp_path / "theirs")
    ours = tmp_path / "ours"
    ours.mkdir()
    save_file(to_state(params, table.RULES), ours / "model.safetensors", metadata={"format": "pt"})
    config: Any = model.config  # pyright: ignore[reportAttributeAccessIssue]
    (ours / "config.json").write_text(json.dumps(table.config_to_json(config)))
    again, report = transformers.CLIPModel.from_pretrained(ours, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for key, tensor in original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    before, after = (theirs(network.eval(), pixels, tokens).logits_per_image for network in (original, again))
    assert torch.equal(before, after)


@pytest.mark.parametrize("sides", [(240, 320), (480, 720), (720, 481), (224, 225), (100, 177)])
def test_pixels_are_those_of_the_image_processor(sides):
    import transformers

    rng = np.random.default_rng(SEED)
    smooth = rng.integers(0, 256, (2, sides[0] // 8 + 1, sides[1] // 8 + 1, 3), np.uint8)
    frames = smooth.repeat(8, 1).repeat(8, 2)[:, : sides[0], : sides[1]]
    want = transformers.CLIPImageProcessorPil()(list(frames), return_tensors="np").pixel_values
    np.testing.assert_allclose(clip_pixels(frames), np.moveaxis(want, 1, -1), atol=1e-6)
