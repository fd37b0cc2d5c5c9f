"""Live comparison of the backbone with diffusers. `MTV_JAX_SEED` draws weights and odd sizes."""

import json
import os
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiT
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import dit as table
from mtv_jax.weights.rules import to_params, to_state

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
ROTARY = {"use_rotary_positional_embeddings": True}
NEWER = ROTARY | {"patch_size_t": 2, "patch_bias": False}
STYLES: dict[str, dict[str, Any]] = {
    "2b": {},
    "5b": ROTARY,
    "5b_i2v": ROTARY | {"use_learned_positional_embeddings": True},
    "1.5": NEWER,
    "1.5_i2v": NEWER | {"ofs_embed_dim": "time_embed_dim"},
}
WEIGHTS = "diffusion_pytorch_model.safetensors"


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def random_original(style: str):
    """A tiny random original of odd sizes: no weight is at its initial value."""
    import diffusers

    rng = np.random.default_rng(SEED)
    channels = int(rng.integers(2, 5))
    sizes = {
        "num_attention_heads": int(rng.integers(2, 4)),
        "attention_head_dim": 16 * int(rng.integers(1, 3)),
        "in_channels": channels * (2 if "i2v" in style else 1),
        "out_channels": channels,
        "time_embed_dim": 2 * int(rng.integers(10, 20)),
        "text_embed_dim": int(rng.integers(8, 20)),
        "num_layers": int(rng.integers(2, 4)),
        "sample_height": 2 * int(rng.integers(3, 6)),
        "sample_width": 2 * int(rng.integers(4, 8)),
        "sample_frames": 4 * int(rng.integers(2, 4)) + 1,
        "max_text_seq_length": int(rng.integers(3, 12)),
    }
    options = {key: sizes.get(value, value) for key, value in STYLES[style].items()}
    original = diffusers.CogVideoXTransformer3DModel(**sizes, **options).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in original.state_dict(keep_vars=True).items():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:
                weight.copy_(
                    1 + 0.2 * noise
                    if "norm" in name and name.endswith(".weight") and "linear" not in name
                    else 0.1 * noise
                )
            else:
                weight.copy_(noise / (1 if "pos_embedding" in name else weight[0].numel() ** 0.5))
    return original


@dataclass
class Pair:
    """An original, ours made from its files, and inputs."""

    original: Any
    folder: Path

    def __post_init__(self):
        self.original.save_pretrained(self.folder)
        self.state = load_file(self.folder / WEIGHTS)
        config = table.config_from_json(json.loads((self.folder / "config.json").read_text()))
        self.model = DiT(config)
        self.params = to_params(self.state, table.RULES, parameter_shapes(self.model))

    @cached_property
    def trained_size(self) -> tuple[int, int, int]:
        """Latent frames (a multiple of what a token holds), rows, columns."""
        cfg = self.model.config
        return (
            cfg.sample_frames + cfg.sample_frames % cfg.frames_per_token,
            cfg.sample_height,
            cfg.sample_width,
        )

    def inputs(self, size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Latents, timesteps of two samples, text."""
        cfg, rng = self.model.config, np.random.default_rng(SEED + 1)
        latents = rng.normal(size=(2, *size, cfg.in_channels)).astype(np.float32)
        text = rng.normal(size=(2, cfg.max_text_seq_length, cfg.text_embed_dim)).astype(np.float32)
        return latents, rng.integers(0, 1000, 2).astype(np.float32), text

    def predict(self, model, latents, timesteps, text):
        """What `model`, ours or one of its kind, predicts with our parameters."""
        return jax.jit(model.apply)(self.params, latents, timesteps, Conditions(text))

    def run_original(self, latents, timesteps, text):
        """The original as its pipelines call it; tensors in, tensor out, channels last."""
        from diffusers import CogVideoXPipeline

        config = self.original.config
        rope = None
        if config.use_rotary_positional_embeddings:
            pipeline = SimpleNamespace(transformer=self.original, vae_scale_factor_spatial=8)
            rope = CogVideoXPipeline._prepare_rotary_positional_embeddings(
                pipeline, 8 * latents.shape[2], 8 * latents.shape[3], latents.shape[1], torch.device("cpu")
            )
        out = self.original(
            latents.permute(0, 1, 4, 2, 3),
            text,
            timesteps,
            ofs=None if config.ofs_embed_dim is None else torch.full((1,), 2.0),
            image_rotary_emb=rope,
        ).sample
        return out.permute(0, 1, 3, 4, 2)

    def expected(self, *inputs: np.ndarray) -> np.ndarray:
        """The original's output."""
        with torch.no_grad():
            return self.run_original(*(torch.from_numpy(x) for x in inputs)).numpy()


@pytest.fixture(params=STYLES, scope="module")
def pair(request, tmp_path_factory) -> Pair:
    return Pair(random_original(request.param), tmp_path_factory.mktemp("original"))


def test_output_agrees_in_float32_and_bfloat16(pair):
    inputs = pair.inputs(pair.trained_size)
    want = pair.expected(*inputs)
    assert relative(pair.predict(pair.model, *inputs), want) < 1e-4
    half = DiT(pair.model.config, dtype=jnp.bfloat16)
    assert relative(pair.predict(half, *inputs), want) < 2e-2


def test_other_sizes_are_those_of_the_pipeline(pair):
    frames, height, width = pair.trained_size
    if pair.model.config.positions == "rope_learned":
        sizes = [pair.trained_size]  # the original refuses others (see the next test)
    elif pair.model.config.patch_size_t:
        sizes = [(frames + 2, height - 2, width - 4)]  # and larger ones here
    else:
        sizes = [(frames + 1, height + 4, width - 2), (frames - 1, height - 2, width + 6)]
    for size in sizes:
        inputs = pair.inputs(size)
        assert relative(pair.predict(pair.model, *inputs), pair.expected(*inputs)) < 1e-4, size


def test_other_sizes_of_the_learned_table_are_ours_alone(tmp_path):
    pair = Pair(random_original("5b_i2v"), tmp_path)
    frames, height, width = pair.trained_size
    inputs = pair.inputs((frames, height + 2, width))
    with pytest.raises(ValueError, match="different resolution"):
        pair.expected(*inputs)
    assert jax.eval_shape(partial(pair.predict, pair.model), *inputs).shape[2] == height + 2


def test_odd_numbers_of_frames_are_refused_where_two_share_a_token(tmp_path):
    pair = Pair(random_original("1.5"), tmp_path)
    inputs = pair.inputs((3, *pair.trained_size[1:]))
    with pytest.raises(UserError, match="divisible by 2"):
        jax.eval_shape(partial(pair.predict, pair.model), *inputs)


def test_gradients_agree(pair):
    latents, timesteps, text = pair.inputs(pair.trained_size)
    shape = (*latents.shape[:-1], pair.model.config.out_channels)
    weight = np.random.default_rng(SEED + 2).normal(size=shape).astype(np.float32)

    def loss(params, latents, text):
        return jnp.mean(pair.model.apply(params, latents, timesteps, Conditions(text)) * weight)

    value, gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(pair.params, latents, text)
    pair.original.zero_grad()
    inputs = [torch.from_numpy(x).requires_grad_() for x in (latents, text)]
    out = pair.run_original(inputs[0], torch.from_numpy(timesteps), inputs[1])
    theirs = (out * torch.from_numpy(weight)).mean()
    theirs.backward()
    # The mean of products that cancel: relative to their size, not to what is left.
    scale = np.abs(out.detach().numpy() * weight).mean()
    assert abs(float(value) - theirs.item()) < 1e-3 * scale
    for ours, tensor in zip(gradients[1:], inputs, strict=True):
        assert relative(ours, tensor.grad.numpy()) < 1e-3
    ours = to_state(gradients[0], table.RULES)
    named = dict(pair.original.named_parameters())
    for key in (
        "patch_embed.proj.weight",
        "transformer_blocks.0.attn1.to_k.weight",
        "transformer_blocks.1.norm1.linear.weight",
        "time_embedding.linear_1.weight",
    ):
        assert relative(ours[key], named[key].grad.numpy()) < 1e-3, key


def test_what_we_write_is_what_diffusers_reads(pair, tmp_path):
    import diffusers

    back = to_state(pair.params, table.RULES)
    assert set(back) == set(pair.state)
    save_file(back, tmp_path / WEIGHTS, metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(table.config_to_json(pair.model.config)))
    again, report = diffusers.CogVideoXTransformer3DModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    for key, tensor in pair.original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    inputs = pair.inputs(pair.trained_size)
    assert relative(Pair(again, tmp_path).expected(*inputs), pair.expected(*inputs)) < 1e-6
    assert {k: v for k, v in again.config.items() if not k.startswith("_")} == {
        k: v for k, v in pair.original.config.items() if not k.startswith("_")
    }
