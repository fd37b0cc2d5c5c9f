"""A network is declared once: with one entry it is loaded, saved, counted, converted, planned and trained."""

import dataclasses
import json
from collections import deque
from dataclasses import dataclass
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import NETWORKS, make_config, make_model, spec_of, trained_by
from mtv_jax.models.shapes import parameter_counts, random_params
from mtv_jax.models.spec import NetworkSpec
from mtv_jax.planning.memory import Sample, sample_need
from mtv_jax.planning.plans import latent_size, training_batch
from mtv_jax.training import steps
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import train_config
from mtv_jax.training.init import check_start, find_start
from mtv_jax.weights.conversion import convert_pretrained
from mtv_jax.weights.pretrained import build_model
from mtv_jax.weights.rules import linear, norm


@dataclass(frozen=True)
class ToyConfig:
    width: int = 8
    in_channels: int = 4
    out_channels: int = 4
    patch_size: int = 1
    frames_per_token: int = 1
    text_embed_dim: int = 8
    max_text_seq_length: int = 24
    text_length_is_fixed: bool = False
    num_layers: int = 1
    num_attention_heads: int = 1
    sample_frames: int = 2
    sample_height: int = 4
    sample_width: int = 4

    @classmethod
    def tiny(cls):
        return cls()


class Toy(nn.Module):
    """A denoiser that is none of ours: every cell by itself."""

    config: ToyConfig
    dtype: object = jnp.float32
    tracks = ()

    @nn.compact
    def __call__(self, latents, timesteps, conditions):
        dense = partial(nn.Dense, dtype=self.dtype)
        x = dense(self.config.width, name="proj_in")(latents)
        text = dense(self.config.width, name="text_proj")(conditions.text).mean(axis=1)
        x += (text + timesteps[:, None] / 1000)[:, None, None, None]
        x = nn.LayerNorm(name="norm_out")(nn.silu(x))
        return dense(self.config.out_channels, name="proj_out")(x).astype(jnp.float32)


RULES = (
    *linear("x_embedder", "proj_in"),
    *linear("caption_projection.linear_1", "text_proj"),
    *norm("norm_out", "norm_out"),
    *linear("proj_out", "proj_out"),
)


def config_from_json(values):
    return ToyConfig(**{key: value for key, value in values.items() if not key.startswith("_")})


def config_to_json(config):
    return {"_class_name": "ToyTransformer3DModel", **dataclasses.asdict(config)}


SPEC = NetworkSpec(
    name="toy",
    module=Toy,
    config=ToyConfig,
    weights=__name__,
    class_names=("ToyTransformer3DModel",),
    folder="transformer",
    task="denoiser",
)


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    monkeypatch.setitem(NETWORKS, "toy", SPEC)


@pytest.fixture
def folder(pipeline_folder, tmp_path):
    """A pipeline folder whose denoiser is the toy."""
    for part in ("vae", "text_encoder", "scheduler", "model_index.json"):
        (tmp_path / "pipeline").mkdir(exist_ok=True)
        (tmp_path / "pipeline" / part).symlink_to(pipeline_folder / part)
    save_model(tmp_path / "pipeline" / "transformer", *make_toy())
    return tmp_path / "pipeline"


def make_toy():
    model = make_model("toy", make_config("toy", "tiny"))
    return model, random_params(model, 3)


def equal(got, wanted):
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_it_is_counted_and_found_by_name_and_task():
    model, _ = make_toy()
    assert spec_of(model) is SPEC
    assert parameter_counts(model) == {"proj_in": 40, "text_proj": 72, "norm_out": 16, "proj_out": 36}
    assert trained_by("denoiser") == ("mtv", "dit", "unet2d", "videocrafter", "toy")


def test_a_pipeline_folder_gives_it_back(folder):
    model, params = load_model(folder, dtype=jnp.bfloat16)
    assert model == Toy(ToyConfig(), jnp.bfloat16)
    equal(params, make_toy()[1])


def test_it_is_converted_from_other_libraries_files(tmp_path):
    draw = np.random.default_rng(0).standard_normal
    tensors = {"norm_out.weight": draw(8), "norm_out.bias": draw(8)}
    sizes = {"x_embedder": (8, 4), "caption_projection.linear_1": (8, 8), "proj_out": (4, 8)}
    for key, shape in sizes.items():
        tensors |= {f"{key}.weight": draw(shape), f"{key}.bias": draw(shape[0])}
    source = tmp_path / "theirs"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({"_class_name": "ToyTransformer3DModel", "width": 8}))
    save_file(
        {key: x.astype(np.float32) for key, x in tensors.items()},
        source / "diffusion_pytorch_model.safetensors",
    )
    names = set()
    deque(map(names.add, convert_pretrained(source, tmp_path / "ours")), maxlen=0)
    assert names == set(tensors)
    _, params = load_model(tmp_path / "ours")
    np.testing.assert_array_equal(
        params["params"]["proj_out"]["kernel"], tensors["proj_out.weight"].T.astype(np.float32)
    )


def test_the_memory_of_a_video_is_planned(folder):
    def need(**size):
        return sample_need(Sample.of(folder, size), advise=False).device

    small, large = need(), need(height=64, width=64)
    networks = [build_model(folder / part) for part in ("", "vae", "text_encoder")]
    weights = 4 * sum(sum(parameter_counts(network).values()) for network in networks)
    assert small["weights"] == large["weights"] == weights
    assert small["activations (estimated)"] < large["activations (estimated)"]


def config_of(**model):
    values = {
        "task": "denoiser",
        "num_steps": 2,
        "model": {"name": "toy", "variant": "tiny", **model},
        "loss": {"scaling_factor": 1.0},
        "data": {"dir": "none", "batch_size": 2},
    }
    return train_config(values)


def test_it_trains_from_a_pipeline_folder(folder):
    config = config_of()
    model, task = make_task(config)
    start = find_start(str(folder), model)
    params = make_toy()[1]
    check_start(start, params)
    shapes = training_batch(model, latent_size(model), 2)
    assert shapes.keys() == set(task.keys)
    batch = {name: jax.random.normal(jax.random.key(1), x.shape) for name, x in shapes.items()}
    state = steps.make_init(task, config.optimizer, 2, 0, batch)(params)
    step = jax.jit(steps.make_step(task, config.optimizer, 2, 0))
    for _ in range(2):
        state, metrics = step(state, batch)
    assert np.isfinite(metrics["loss"])
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), state.all_params(), params)
    assert all(jax.tree.leaves(changed))


def test_what_it_does_not_declare_is_refused():
    with pytest.raises(UserError, match="remat 'block': the network 'toy' takes none"):
        make_task(config_of(remat="block"))
    with pytest.raises(UserError, match=r"Dense: no spec in mtv_jax\.models\.registry\.NETWORKS"):
        parameter_counts(nn.Dense(1))
