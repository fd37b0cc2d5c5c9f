"""Live comparison of Stable Diffusion's UNet with diffusers. `MTV_JAX_SEED` draws weights and odd sizes."""

import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mtv_jax import load_model
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.models.unet2d import UNet2D
from mtv_jax.weights import unet2d as table
from mtv_jax.weights.rules import to_state

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
WEIGHTS = "diffusion_pytorch_model.safetensors"
DOWN, UP = ("DownBlock2D", "CrossAttnDownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
STYLES: dict[str, dict[str, Any]] = {
    "sd_2_1": {"levels": (1, 0)},
    "deep": {"levels": (0, 1, 1), "transformer_layers_per_block": 2},
}


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def random_original(style: str):
    """A tiny random original of odd sizes: no weight is at its initial value."""
    import diffusers

    rng = np.random.default_rng(SEED)
    options = dict(STYLES[style])
    levels = options.pop("levels")
    head = 4 * int(rng.integers(1, 4))
    widths = [head * int(n) for n in np.sort(rng.integers(1, 5, len(levels)))]
    original = diffusers.UNet2DConditionModel(
        sample_size=int(rng.integers(8, 20)),
        block_out_channels=widths,
        down_block_types=[DOWN[attends] for attends in levels],
        up_block_types=[UP[attends] for attends in reversed(levels)],
        layers_per_block=int(rng.integers(1, 3)),
        attention_head_dim=[width // head for width in widths],  # numbers of heads
        cross_attention_dim=int(rng.integers(8, 20)),
        norm_num_groups=4,
        norm_eps=float(rng.choice([1e-5, 1e-6])),
        use_linear_projection=True,
        **options,
    ).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in original.state_dict(keep_vars=True).items():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            else:
                weight.copy_(0.1 * noise + (1 if "norm" in name and name.endswith("weight") else 0))
    return original


class Pair:
    """An original, ours made from its files, and inputs: two clips of three pictures."""

    def __init__(self, style: str, folder: Any):
        self.original = random_original(style)
        self.original.save_pretrained(folder)
        self.state = load_file(folder / WEIGHTS)
        loaded: Any = load_model(folder)
        self.model, self.params = loaded
        config, rng = self.model.config, np.random.default_rng(SEED + 1)
        height, width = (config.patch_size * int(n) for n in rng.integers(2, 5, 2))
        self.latents = rng.normal(size=(2, 3, height, width, 4)).astype(np.float32)
        self.timesteps = rng.integers(0, 1000, 2).astype(np.float32)
        self.text = rng.normal(size=(2, 7, config.text_embed_dim)).astype(np.float32)

    def theirs(self, text: Any) -> Any:
        """The original's prediction, channels last, each picture by itself."""
        flat = torch.from_numpy(self.latents).flatten(0, 1).permute(0, 3, 1, 2)
        rows = torch.from_numpy(self.timesteps).repeat_interleave(3)
        out = self.original(flat, rows, text.repeat_interleave(3, 0)).sample
        return out.permute(0, 2, 3, 1).reshape(self.latents.shape)

    def ours(self, model: Any, params: Any, text: Any) -> Any:
        return model.apply(params, self.latents, self.timesteps, Conditions(text))


@pytest.fixture(params=STYLES, scope="module")
def pair(request, tmp_path_factory) -> Pair:
    return Pair(request.param, tmp_path_factory.mktemp("original"))


def test_output_agrees_in_float32_and_bfloat16(pair):
    with torch.no_grad():
        want = pair.theirs(torch.from_numpy(pair.text)).numpy()
    assert relative(jax.jit(pair.ours, static_argnums=0)(pair.model, pair.params, pair.text), want) < 1e-4
    half = UNet2D(pair.model.config, dtype=jnp.bfloat16)
    out = jax.jit(pair.ours, static_argnums=0)(half, pair.params, pair.text)
    assert np.sqrt(((out - want) ** 2).mean() / (want**2).mean()) < 2e-2


def test_gradients_agree(pair):
    def loss(params: Any, text: Any) -> Any:
        return jnp.sin(pair.ours(pair.model, params, text)).mean()

    ours, of_text = jax.jit(jax.grad(loss, argnums=(0, 1)))(pair.params, pair.text)
    text = torch.from_numpy(pair.text).requires_grad_()
    torch.sin(pair.theirs(text)).mean().backward()
    assert relative(of_text, text.grad.numpy()) < 1e-3
    ours, named = to_state(ours, table.RULES), dict(pair.original.named_parameters())
    assert set(ours) == set(named)
    for key, weight in named.items():
        assert np.abs(ours[key] - weight.grad.numpy()).max() < 1e-3 * max(
            np.abs(weight.grad.numpy()).max(), 1e-6
        ), key


def test_what_we_write_is_what_diffusers_reads(pair, tmp_path):
    import diffusers

    back = to_state(pair.params, table.RULES)
    assert set(back) == set(pair.state)
    save_file(back, tmp_path / WEIGHTS, metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(table.config_to_json(pair.model.config)))
    again, report = diffusers.UNet2DConditionModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    for key, tensor in pair.original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    with torch.no_grad():
        text = torch.from_numpy(pair.text)
        before = pair.theirs(text)
        pair.original, kept = again.eval(), pair.original
        after = pair.theirs(text)
        pair.original = kept
    assert relative(after.numpy(), before.numpy()) < 1e-6
