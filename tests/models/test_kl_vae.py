"""Stable Diffusion's autoencoder against numbers of diffusers, and its use on videos."""

import functools
import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model, save_model
from mtv_jax.data.transforms import to_uint8
from mtv_jax.io.errors import UserError
from mtv_jax.models.kl_vae import AutoencoderKL, KLVAEConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.vae3d import Tiling, decode_stream, encode_stream, streaming
from mtv_jax.pipelines.run import decode_latents, reconstruct
from mtv_jax.training.tasks import VAELossConfig, vae_task
from mtv_jax.weights import kl_vae as table
from mtv_jax.weights.rules import to_state, to_tensors

SMALLEST = replace(KLVAEConfig.tiny(), block_out_channels=(4, 4))
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def state(goldens):
    with np.load(goldens / "kl_vae.npz") as file:
        return {key.removeprefix("weights."): file[key] for key in file if key.startswith("weights.")}


@pytest.fixture(scope="module")
def network(goldens, state, tmp_path_factory):
    """From a folder as diffusers before 0.18 wrote it: the attention has other names."""
    path = tmp_path_factory.mktemp("kl_vae")
    with np.load(goldens / "kl_vae.npz") as file:
        (path / "config.json").write_text(str(file["config"]))
    save_file(
        {old_name(key): array for key, array in state.items()}, path / "diffusion_pytorch_model.safetensors"
    )
    return load_model(path)


def old_name(key: str) -> str:
    for new, old in OLD_NAMES.items():
        key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
    return key


@pytest.fixture(scope="module")
def numbers(goldens):
    """Inputs and outputs; the pictures are the frames of one video."""
    with np.load(goldens / "kl_vae.npz") as file:
        names = [name for name in file if not name.startswith("weights.") and name != "config"]
        return {name: file[name][None] for name in names}


def relative(ours, theirs) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def test_frames_are_encoded_as_pictures_by_diffusers(network, numbers):
    model, params = network
    ((mean, logvar),) = encode_stream(model, params, numbers["pictures"])
    assert relative(mean, numbers["mean"]) < 1e-4
    assert relative(logvar, numbers["logvar"]) < 1e-4


def test_latents_are_decoded_two_at_a_time_by_one_program(network, numbers, monkeypatch):
    calls, decode_chunk = set(), streaming.decode_chunk

    def record(model, params, latents, cache, alone):
        calls.add((latents.shape, cache, alone))  # all that decides which program runs
        return decode_chunk(model, params, latents, cache, alone)

    monkeypatch.setattr(streaming, "decode_chunk", record)
    model, params = network
    pieces = list(decode_stream(model, params, numbers["latents"]))
    assert [piece.shape[1] for piece in pieces] == [2, 2]
    assert len(calls) == 1
    assert relative(jnp.concatenate(pieces, 1), numbers["decoded"]) < 1e-4


def test_tiles_are_those_of_diffusers():
    """Pictures of the training size are decoded whole; tests/parity compares the numbers."""
    config = KLVAEConfig.kl_f8()
    assert Tiling.aligned(config) == Tiling.of(config) == Tiling(512, 512, 0.25, 0.25)


def test_pipelines_decode_and_reconstruct_with_it(network, numbers):
    model, params = network
    factor = model.config.scaling_factor
    frames = decode_latents(model, params, factor * numbers["latents"])
    assert np.abs(frames - to_uint8(numbers["decoded"]).astype(int)).max() <= 1
    video = to_uint8(numbers["pictures"])[0]
    pipe = SimpleNamespace(vae=model, vae_params=params)
    (again,) = reconstruct(pipe, [np.asarray(video)], batch_size=1)
    assert again.shape == video.shape


def test_bfloat16_gives_float32_results_close_to_those_of_float32(network, numbers):
    model, params = network
    half = AutoencoderKL(model.config, jnp.bfloat16)
    ((mean, _),) = encode_stream(half, params, numbers["pictures"])
    assert mean.dtype == jnp.float32
    assert 1e-4 < relative(mean, numbers["mean"]) < 2e-2
    (decoded,) = decode_stream(half, params, numbers["latents"][:, :2])
    assert decoded.dtype == jnp.float32
    assert 1e-4 < relative(decoded, numbers["decoded"][:, :2]) < 2e-2


@pytest.mark.slow
def test_methods_have_the_shapes_of_the_video_autoencoder():
    model = AutoencoderKL(SMALLEST)
    params = parameter_shapes(model)
    video = jax.ShapeDtypeStruct((2, 5, 6, 4, 3), jnp.float32)
    mean, _ = jax.eval_shape(functools.partial(model.apply, method="encode"), params, video)
    assert mean.shape == (2, 5, 3, 2, 4)
    decode = functools.partial(model.apply, method="decode")
    assert jax.eval_shape(decode, params, mean).shape == video.shape
    with pytest.raises(UserError, match="video of 5x4: height and width must be divisible by 2"):
        list(encode_stream(model, {}, jnp.zeros((1, 1, 5, 4, 3))))


def test_it_can_be_trained():
    model = AutoencoderKL(SMALLEST)
    task = vae_task(model, VAELossConfig())
    batch = {"video": jax.ShapeDtypeStruct((1, 4, 4, 4, 3), jnp.uint8)}
    params = jax.eval_shape(task.init, jax.random.key(0), batch)
    assert jax.tree.map(lambda leaf: leaf.shape, params) == jax.tree.map(
        lambda leaf: leaf.shape, parameter_shapes(model)
    )
    loss, _ = jax.eval_shape(task.loss, params, batch, jax.random.key(0))
    assert loss.shape == ()


def test_the_file_comes_back_under_the_new_names(network, state, tmp_path):
    model, params = network
    back = to_state(params, table.RULES)
    assert set(back) == set(state)
    for key, tensor in state.items():
        np.testing.assert_array_equal(back[key], tensor, err_msg=key)
    save_model(tmp_path, model, params)
    again, same = load_model(tmp_path)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


def test_the_autoencoder_of_a_larger_file_is_opened(network):
    model, params = network
    theirs = to_state(params, table.ldm_rules(model.config))
    assert theirs["encoder.mid.attn_1.q.weight"].shape == (8, 8, 1, 1)
    larger = {f"first_stage_model.{key}": array for key, array in theirs.items()}
    larger |= {"first_stage_model.loss.logvar": np.zeros(()), "scale_arr": np.zeros(3)}
    open_it = functools.partial(table.open_ldm_vae, settle=lambda _, leaf: np.asarray(leaf), origin="a.ckpt")
    again, same = open_it(larger, config=model.config)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)
    with pytest.raises(UserError, match=r"a\.ckpt: first_stage_model\.: unexpected tensors: encoder\.extra"):
        open_it({**larger, "first_stage_model.encoder.extra": np.zeros(1)}, config=model.config)


def test_ldm_counts_the_levels_of_its_decoder_from_the_last():
    config = KLVAEConfig.kl_f8()
    found = to_tensors(parameter_shapes(AutoencoderKL(config)), table.ldm_rules(config))
    shapes = {key: tensor.shape for key, tensor in found.items()}
    assert len(shapes) == 248
    assert shapes["decoder.up.3.upsample.conv.weight"] == (512, 512, 3, 3)
    assert shapes["decoder.up.1.block.0.nin_shortcut.weight"] == (256, 512, 1, 1)
    assert shapes["decoder.up.0.block.0.nin_shortcut.weight"] == (128, 256, 1, 1)
    assert shapes["decoder.up.0.block.2.conv2.weight"] == (128, 128, 3, 3)
    assert "decoder.up.0.upsample.conv.weight" not in shapes
    assert shapes["encoder.down.0.downsample.conv.weight"] == (128, 128, 3, 3)
    assert shapes["quant_conv.weight"] == (8, 8, 1, 1)


@pytest.mark.parametrize("config", [KLVAEConfig.tiny(), KLVAEConfig.kl_f8()], ids=["tiny", "kl_f8"])
def test_configs_survive_their_file(config):
    assert table.config_from_json(json.loads(json.dumps(table.config_to_json(config)))) == config


def test_what_is_unsupported_is_named():
    values = table.config_to_json(KLVAEConfig.kl_f8())
    assert table.config_from_json({}) == KLVAEConfig(
        block_out_channels=(64,), layers_per_block=1, sample_size=32
    )
    for change, message in (
        ({"use_quant_conv": False}, "use_quant_conv = False is not supported"),
        ({"shift_factor": 0.1159}, "shift_factor = 0.1159 is not supported"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"]}, "only DownEncoderBlock2D is supported"),
        ({"latent_chanels": 4}, "unknown keys latent_chanels"),
        ({"norm_num_groups": 48}, "block_out_channels 128: not divisible by norm_num_groups 48"),
    ):
        with pytest.raises(UserError, match=message):
            table.config_from_json(values | change)
    with pytest.raises(UserError, match="scaling_factor 0"):
        replace(KLVAEConfig.tiny(), scaling_factor=0.0)
