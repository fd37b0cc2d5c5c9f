"""Live comparison of CLIP's text encoder with transformers and OpenCLIP. `MTV_JAX_SEED` draws weights and sizes.

OpenCLIP is `pip install --no-deps open_clip_torch==3.3.0`; of torchvision, which it imports for other networks, nothing
is used.
"""

import importlib
import importlib.util
import os
import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax import load_model, save_model
from mtv_jax.models.clip_text import CLIPTextConfig, CLIPTextModel
from mtv_jax.weights import clip_text as table
from mtv_jax.weights.rules import to_state

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
PREFIX = "cond_stage_model.model."


def relative(got, want) -> float:
    assert got.shape == want.shape
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def sizes() -> dict[str, int]:
    rng = np.random.default_rng(SEED)
    heads = int(rng.choice([2, 3, 4]))
    return {
        "num_attention_heads": heads,
        "hidden_size": 8 * heads,
        "intermediate_size": 32 * heads,
        "num_hidden_layers": int(rng.integers(2, 4)),
        "vocab_size": int(rng.integers(30, 60)),
        "max_position_embeddings": int(rng.integers(6, 12)),
    }


def randomise(model) -> None:
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            elif weight.ndim == 1:
                weight.copy_(
                    0.1 * noise + float(("norm" in name or "ln_" in name) and name.endswith("weight"))
                )


def random_tokens(length: int, words: int) -> np.ndarray:
    """Prompts that end in the padding of OpenCLIP, 0."""
    tokens = np.random.default_rng(SEED + 1).integers(1, words, (3, length))
    tokens[0, length // 2 :] = 0
    tokens[1, -1] = 0
    return tokens


@pytest.fixture(scope="module", params=["gelu", "quick_gelu"])
def original(request):
    import transformers

    model: Any = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(**sizes(), hidden_act=request.param)
    ).eval()
    randomise(model)
    return model


@pytest.fixture(scope="module")
def network(original, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip_text")
    original.save_pretrained(folder)
    return load_model(folder)


@pytest.mark.parametrize("masked", [False, True])
def test_every_token_agrees_with_transformers(original, network, masked):
    model, params = network
    tokens = random_tokens(model.config.max_position_embeddings, model.config.vocab_size)
    mask = (tokens != 0) if masked else None
    with torch.no_grad():
        given = None if mask is None else torch.from_numpy(mask.astype(np.int64))
        want = original(input_ids=torch.from_numpy(tokens), attention_mask=given).last_hidden_state.numpy()
    for dtype, bound in ((jnp.float32, 1e-4), (jnp.bfloat16, 2e-2)):
        found = jax.jit(CLIPTextModel(model.config, dtype).apply)(params, tokens, mask)
        error = np.sqrt(((np.asarray(found) - want) ** 2).mean() / (want**2).mean())
        assert error < bound


def test_what_we_write_is_what_transformers_reads(original, network, tmp_path):
    import transformers

    save_model(tmp_path, *network)
    again, report = transformers.CLIPTextModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for key, tensor in original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


@pytest.fixture(scope="module")
def open_clip():
    """Its module `transformer`. The package imports all its networks, of which some need more than is installed."""
    spec = importlib.util.find_spec("open_clip")
    if spec is None:
        pytest.skip("needs open_clip_torch")
    with pytest.MonkeyPatch.context() as patch:
        package = types.ModuleType("open_clip")
        package.__path__ = list(spec.submodule_search_locations)
        patch.setitem(sys.modules, "open_clip", package)
        if importlib.util.find_spec("torchvision") is None:
            norms: Any = types.ModuleType("torchvision.ops.misc")
            norms.FrozenBatchNorm2d = torch.nn.BatchNorm2d
            for name in ("torchvision", "torchvision.ops"):
                patch.setitem(sys.modules, name, types.ModuleType(name))
            patch.setitem(sys.modules, norms.__name__, norms)
        yield importlib.import_module("open_clip.transformer")
        for name in [name for name in sys.modules if name.startswith("open_clip.")]:
            patch.delitem(sys.modules, name)


def text_transformer(open_clip, config: CLIPTextConfig):
    """OpenCLIP's network, which has one layer more than the encoder."""
    return open_clip.TextTransformer(
        context_length=config.max_position_embeddings,
        vocab_size=config.vocab_size,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        layers=config.num_hidden_layers + 1,
        output_dim=16,
    )


def checkpoint(original) -> dict[str, np.ndarray]:
    """Its tensors as in a checkpoint of VideoCrafter or Stable Diffusion 2."""
    state = {key: tensor.detach().numpy() for key, tensor in original.state_dict().items()}
    return {f"{PREFIX}{key}": tensor for key, tensor in state.items()} | {f"{PREFIX}logit_scale": np.ones(())}


def test_penultimate_layer_of_openclip_agrees(open_clip):
    config = CLIPTextConfig(
        **(sizes() | {"intermediate_size": 4 * sizes()["hidden_size"]}), hidden_act="gelu"
    )
    original = text_transformer(open_clip, config).eval()
    randomise(original)
    tokens = random_tokens(config.max_position_embeddings, config.vocab_size)
    with torch.no_grad():
        layers = original.forward_intermediates(
            torch.from_numpy(tokens),
            indices=[config.num_hidden_layers - 1],
            normalize_intermediates=True,
            intermediates_only=True,
            output_fmt="NLC",
        )
    (want,) = layers["text_intermediates"]
    model, params = table.open_openclip_text(
        checkpoint(original), lambda _, leaf: np.asarray(leaf), config=config, origin="a.ckpt"
    )
    assert relative(jax.jit(model.apply)(params, tokens), want.numpy()) < 1e-4


def test_openclips_names_are_those_that_diffusers_converts(open_clip):
    """And those of ViT-H/14 at full size are all there."""
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    config = CLIPTextConfig(
        **(sizes() | {"intermediate_size": 4 * sizes()["hidden_size"]}), hidden_act="gelu"
    )
    original = text_transformer(open_clip, config)
    randomise(original)
    theirs = checkpoint(original)
    _, params = table.open_openclip_text(
        theirs, lambda _, leaf: np.asarray(leaf), config=config, origin="a.ckpt"
    )
    del theirs[f"{PREFIX}text_projection"]  # its width is taken for that of a token
    stub = types.SimpleNamespace(config=types.SimpleNamespace(hidden_size=config.hidden_size))
    tensors = {key: torch.from_numpy(np.array(array)) for key, array in theirs.items()}
    converted = convert_open_clip_checkpoint(stub, tensors, PREFIX)
    for key, array in to_state(params, table.RULES).items():
        name = key if key in converted else key.removeprefix("text_model.")
        np.testing.assert_array_equal(array, converted[name].numpy(), err_msg=key)


def test_every_tensor_of_openclip_vit_h_has_its_parameter(open_clip):
    with torch.device("meta"):
        original = text_transformer(open_clip, CLIPTextConfig.vit_h())
    shapes = {
        f"{PREFIX}{key}": np.broadcast_to(np.float32(0), t.shape) for key, t in original.state_dict().items()
    }
    table.open_openclip_text(shapes, lambda _, leaf: leaf, origin="a.ckpt")
