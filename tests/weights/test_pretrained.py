"""Folders of networks: what is written is what is read, and what does not fit is named."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from pipeline_folders import DDIM
from safetensors.numpy import load_file, save_file

from mtv_jax import load_model, save_model
from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json
from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.mst_controlnet import MSTControlNetConfig
from mtv_jax.models.shapes import random_params
from mtv_jax.models.vae3d import VAE3DConfig
from mtv_jax.ops.stack import unstack_params
from mtv_jax.pipelines.presets import pipeline_folder as preset_folder
from mtv_jax.weights import controlnet, dit, vae3d
from mtv_jax.weights.pretrained import is_untrained
from mtv_jax.weights.scheduler import config_from_json, config_to_json


@pytest.mark.parametrize("part", ["", "vae", "text_encoder"])
def test_round_trip_is_exact(pipeline_folder, tmp_path, part):
    model, params = load_model(pipeline_folder / part)
    save_model(tmp_path / "again", model, params)
    again, same = load_model(tmp_path / "again")
    assert again.config == model.config
    jax.tree.map(np.testing.assert_array_equal, params, same)


def test_files_have_the_names_of_diffusers(pipeline_folder):
    tensors = load_file(pipeline_folder / "transformer/diffusion_pytorch_model.safetensors")
    assert tensors["transformer_blocks.0.attn1.to_q.weight"].shape == (16, 16)
    assert tensors["patch_embed.pos_embedding"].shape == (1, 24 + 2 * 2 * 2, 16)
    config = json.loads((pipeline_folder / "transformer/config.json").read_text())
    assert config["_class_name"] == "CogVideoXTransformer3DModel"


def spoil_tensors(folder, change):
    path = folder / "transformer/diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def spoil_config(folder, **values):
    path = folder / "transformer/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: spoil_tensors(f, lambda t: t.pop("proj_out.bias")), r"missing tensors: proj_out\.bias"),
        (lambda f: spoil_tensors(f, lambda t: t.update(x=np.zeros(1))), "unexpected tensors: x"),
        (
            lambda f: spoil_tensors(f, lambda t: t.update({"proj_out.bias": np.zeros(3)})),
            r"proj_out\.bias has shape \(3,\)",
        ),
        (lambda f: spoil_config(f, num_layer=2), "unknown keys num_layer"),
        (lambda f: spoil_config(f, activation_fn="relu"), "relu"),
        (lambda f: spoil_config(f, _class_name="Flux"), "class 'Flux'.*CogVideoXTransformer3DModel"),
        (lambda f: (f / "transformer/config.json").unlink(), r"config\.json: no such file"),
        (
            lambda f: (f / "transformer/diffusion_pytorch_model.safetensors").write_bytes(b"x" * 20),
            "not a readable safetensors file",
        ),
        (
            lambda f: (f / "transformer/diffusion_pytorch_model.safetensors").unlink(),
            r"no \.safetensors file",
        ),
        (lambda f: (f / "controlnet/model.safetensors").unlink(), r"controlnet: no \.safetensors"),
    ],
)
def test_what_does_not_fit_is_named(pipeline_folder, tmp_path, spoil, message):
    shutil.copytree(pipeline_folder, tmp_path / "copy")
    spoil(tmp_path / "copy")
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "copy")


def test_controlnet_with_a_missing_tensor_is_named(pipeline_folder, tmp_path):
    shutil.copytree(pipeline_folder, tmp_path / "copy")
    path = tmp_path / "copy/controlnet/model.safetensors"
    tensors = load_file(path)
    del tensors["transformer_blocks.0.music_modulation.bias"]
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"controlnet: missing.*0\.music_modulation\.bias"):
        load_model(tmp_path / "copy")


def test_untrained_weights_come_from_their_seed(pipeline_folder, tmp_path):
    values = json.loads((pipeline_folder / "text_encoder/config.json").read_text())
    (tmp_path / "random").mkdir()
    (tmp_path / "random/config.json").write_text(json.dumps(values | {"_untrained_seed": 5}))
    assert is_untrained(tmp_path / "random")
    assert not is_untrained(pipeline_folder / "text_encoder")
    model, params = load_model(tmp_path / "random")
    jax.tree.map(np.testing.assert_array_equal, params, random_params(model, 5))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_files_are_read_and_written_to_the_bit(pipeline_folder, tmp_path, dtype):
    model, params = load_model(pipeline_folder)
    save_model(tmp_path / "half", model, params, dtype=dtype)
    _, half = load_model(tmp_path / "half", param_dtype=dtype)
    expected = jax.tree.map(lambda x: x.astype(dtype), params)
    jax.tree.map(np.testing.assert_array_equal, half, expected)
    save_model(tmp_path / "again", model, half)
    for name in ("transformer/diffusion_pytorch_model", "controlnet/model"):
        first, second = (tmp_path / f / f"{name}.safetensors" for f in ("half", "again"))
        assert first.read_bytes() == second.read_bytes()


def test_layers_may_be_written_out(pipeline_folder):
    _, scanned = load_model(pipeline_folder)
    _, written_out = load_model(pipeline_folder, scan_layers=False)
    jax.tree.map(np.testing.assert_array_equal, unstack_params(scanned), written_out)


def test_long_lists_of_tensors_are_cut(pipeline_folder, tmp_path):
    shutil.copytree(pipeline_folder, tmp_path / "copy")
    spoil_tensors(tmp_path / "copy", lambda t: [t.pop(key) for key in sorted(t)[:25]])
    with pytest.raises(UserError, match="missing tensors: .* and 5 more$"):
        load_model(tmp_path / "copy")


@pytest.mark.parametrize(
    "config",
    [
        ScheduleConfig(),
        ScheduleConfig.cogvideox_2b(),
        ScheduleConfig.released(),
        ScheduleConfig(prediction="sample"),
        ScheduleConfig(prediction="epsilon", snr_shift_scale=2.0, steps_offset=1),
        ScheduleConfig.stable_diffusion(),
        ScheduleConfig.videocrafter2(),
    ],
    ids=str,
)
def test_schedules_survive_their_file(config):
    assert config_from_json(config_to_json(config)) == config


def test_schedule_of_diffusers_is_read():
    values = DDIM | {"_class_name": "CogVideoXDPMScheduler", "snr_shift_scale": 1.0}
    assert config_from_json(values) == ScheduleConfig.cogvideox_5b()
    with pytest.raises(UserError, match="clip_sample"):
        config_from_json(values | {"clip_sample": True})


STABLE_DIFFUSION = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
"""As Stable Diffusion 2.1-base has it."""


def test_schedules_of_stable_diffusion_are_read_whatever_their_class():
    expected = ScheduleConfig.stable_diffusion()
    assert config_from_json(STABLE_DIFFUSION) == expected
    ddim = STABLE_DIFFUSION | {"_class_name": "DDIMScheduler", "thresholding": False}
    assert config_from_json(ddim) == expected
    # Euler ends at the clean sample, whatever key another class left in its file.
    euler = STABLE_DIFFUSION | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}
    as_euler = dataclasses.replace(expected, set_alpha_to_one=True, step_to="next")
    assert config_from_json(euler | {"use_karras_sigmas": False}) == as_euler


def test_omitted_keys_have_the_defaults_of_the_file_s_class():
    def without(key, **changes):
        return {name: value for name, value in (STABLE_DIFFUSION | changes).items() if name != key}

    assert not config_from_json(without("set_alpha_to_one")).set_alpha_to_one
    assert config_from_json(without("set_alpha_to_one", _class_name="DDIMScheduler")).set_alpha_to_one
    assert config_from_json(without("-", _class_name="EulerDiscreteScheduler")).spacing == "linspace"
    for key in ("beta_schedule", "beta_start"):
        with pytest.raises(UserError, match=f"keys missing: {key}"):
            config_from_json(without(key))
    with pytest.raises(UserError, match="clip_sample = True"):
        config_from_json(without("clip_sample", _class_name="DDIMScheduler"))


@pytest.mark.parametrize(
    "bad",
    [
        {"_class_name": "UniPCMultistepScheduler"},
        {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True},
        {"beta_schedule": "linear"},
        {"steps_offset": 7},
        {"scale_b": 0.0},
        {"scale_b": 1.5},
        {"scale_b": 0.7, "prediction_type": "v_prediction"},
    ],
    ids=str,
)
def test_other_schedulers_are_refused_in_one_line(bad):
    with pytest.raises(UserError) as found:
        config_from_json(STABLE_DIFFUSION | bad)
    assert "\n" not in str(found.value)


def test_the_bundled_networks_are_the_tiny_ones():
    folder = preset_folder("tiny")
    assert dit.config_from_json(read_json(folder / "transformer" / "config.json")) == DiTConfig.tiny()
    control = controlnet.config_from_json(read_json(folder / "controlnet" / "config.json"))
    assert control == MSTControlNetConfig.tiny()
    vae = vae3d.config_from_json(read_json(folder / "vae" / "config.json"))
    # Its scale was measured after it was trained.
    assert dataclasses.replace(vae, scaling_factor=1.0) == VAE3DConfig.tiny()
