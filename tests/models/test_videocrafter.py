"""VideoCrafter2's UNet and its sampling against the original's numbers, and what the module promises."""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import videocrafter_goldens as goldens
from flax.traverse_util import flatten_dict
from videocrafter_goldens import channels_last

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.guidance import guidance_scale, guided
from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.diffusion.noise.vp import Schedule
from mtv_jax.diffusion.samplers import SamplerConfig, sampler_step, sampler_steps, start, step_at
from mtv_jax.io.errors import UserError
from mtv_jax.models.videocrafter import VideoCrafterConfig, VideoCrafterUNet
from mtv_jax.weights import videocrafter as table
from mtv_jax.weights.pretrained import load_config, write_model
from mtv_jax.weights.tensor_files import read_tensors

pytestmark = pytest.mark.skipif(not goldens.FOLDER.is_dir(), reason="MTV_JAX_GOLDENS has no videocrafter2/")


def close(got: Any, want: np.ndarray, *, rtol: float = 1e-3, atol: float = 1e-3, name: str = "") -> None:
    """Within the bounds of the goldens' README; `atol` is relative to the largest value."""
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol * np.abs(want).max(), err_msg=name)


@functools.partial(jax.jit, static_argnums=0)
def denoise(model, params, latents, timesteps, context, fps):
    """The prediction and the output of every module: the only program that is compiled of the whole network."""
    options: Any = {"capture_intermediates": True, "mutable": ["intermediates"], "method": "denoise"}
    return model.apply(params, latents, timesteps, context, fps, **options)


class Outer(VideoCrafterUNet):
    """`__call__` is the network's, and calls the compiled program."""

    def denoise(self, latents, timesteps, context, fps=None):
        return denoise(*goldens.load(), latents, timesteps, context, fps)[0]


def predict(*arguments: Any) -> Any:
    """The network's `__call__`, with its parameters."""
    return Outer(goldens.load()[0].config).apply({}, *arguments)


def inputs(fps: Any) -> tuple[Any, ...]:
    """Latents, timesteps and conditions of the goldens, with a frame rate."""
    arrays = goldens.arrays()
    timesteps = arrays["unet.timesteps"].astype(np.float32)
    rates = np.broadcast_to(np.asarray(fps, np.float32), timesteps.shape)
    return channels_last(arrays["unet.x"]), timesteps, Conditions(arrays["unet.context"], fps=rates)


def per_frame(text: Any) -> Contexts:
    """A text for every frame."""
    return Contexts(np.repeat(text[:, None], goldens.arrays()["unet.x"].shape[2], axis=1))


@pytest.fixture(scope="module")
def outputs():
    """The prediction for the goldens' frame rates, and every module's output by its path."""
    latents, timesteps, conditions = inputs(goldens.arrays()["unet.fps"])
    context = per_frame(conditions.text)
    out, seen = denoise(*goldens.load(), latents, timesteps, context, conditions.fps)
    found: Any = flatten_dict(seen["intermediates"], sep="/")
    return out, {path: values[0] for path, values in found.items()}


def modules() -> dict[str, str]:
    """Name of a recorded output -> path of the module here, from the sizes of the network."""
    config = goldens.load()[0].config
    found = {
        "input_block0": "conv_in",
        "init_attn": "temporal_in",
        "middle_block": "middle_1",
        "time_embed_out": "time_embedding",
        "fps_embedding_out": "fps_embedding",
    }
    layers, number, ups = {"middle_block": "middle_0"}, 1, config.layers_per_block + 1
    for level in range(config.num_levels):
        for block in range(config.layers_per_block):
            layers[f"input_blocks.{number + block}"] = f"down_{level}_{block}"
            found[f"input_block{number + block}"] = f"down_{level}_{block}"
        number += ups
        found[f"input_block{number - 1}"] = f"downsample_{level}"
    for number in range(config.num_levels * ups):
        step, block = divmod(number, ups)
        layers[f"output_blocks.{number}"] = f"up_{step}_{block}"
        rises = block == ups - 1 and step < config.num_levels - 1
        found[f"output_block{number}"] = f"upsample_{step}" if rises else f"up_{step}_{block}"
    parts = {"0": "temporal_conv", "0.temopral_conv": "temporal_conv", "1": "spatial", "2": "temporal"}
    inner = {
        f"module:{theirs}.{part}": f"{ours}/{name}"
        for theirs, ours in layers.items()
        for part, name in parts.items()
    }
    return found | inner


def test_every_block_is_the_original_s(outputs):
    arrays, (out, seen) = goldens.arrays(), outputs
    close(out, channels_last(arrays["unet.out"]))
    close(seen["time_embedding/sinusoid"], arrays["unet.timestep_embedding_t"])
    compared = {"timestep_embedding_t"}
    for name, path in modules().items():
        want, got = arrays.get(f"unet.{name}"), seen.get(f"{path}/__call__")
        if want is None or got is None:
            continue
        if want.ndim == 5:  # [b c f h w]
            want = channels_last(want).reshape(got.shape)
        elif want.ndim == 4:
            want = np.moveaxis(want, 1, -1)
        close(got, want, name=name)
        compared.add(name)
    recorded = {key.removeprefix("unet.") for key in arrays if key.startswith("unet.")}
    inputs_and_outputs = {"x", "timesteps", "context", "fps", "context_per_frame"}
    inputs_and_outputs |= {name for name in recorded if name.startswith("out") and "block" not in name}
    assert compared == recorded - inputs_and_outputs


@pytest.mark.parametrize("fps", [8, 16])
def test_the_frame_rate_is_that_of_the_original(fps):
    close(predict(*inputs(fps)), channels_last(goldens.arrays()[f"unet.out_fps_int{fps}"]))


def test_each_frame_may_have_a_context_of_its_own():
    arrays = goldens.arrays()
    latents, timesteps, conditions = inputs(arrays["unet.fps"])
    tokens = arrays["unet.context_per_frame"].reshape(*latents.shape[:2], *conditions.text.shape[1:])
    out, _ = denoise(*goldens.load(), latents, timesteps, Contexts(tokens), conditions.fps)
    close(out, channels_last(arrays["unet.out_per_frame_context"]))


@pytest.mark.parametrize("eta", [0, 1])
def test_every_step_of_sampling_is_the_original_s(eta):
    arrays, values = goldens.arrays(), goldens.values()
    run, sampling = f"sample_eta{eta}", values["sampling"]
    if sampling["ddim_steps_actual"] != sampling["ddim_steps_requested"]:
        pytest.skip("a number of steps that does not divide the timesteps: ours are others")
    schedule = Schedule.create(goldens.schedule_config())
    config = SamplerConfig("ddim", sampling["ddim_steps_actual"], eta=eta)
    conditions = Conditions(arrays[f"{run}.cond"], fps=np.full(1, sampling["fps"], np.float32))
    both = conditions.for_guidance([["text"]], no_text=arrays[f"{run}.uncond"])
    step_of = guided(lambda x, t: predict(x, t, both), guidance_scale("constant", sampling["cfg_scale"]))
    state = start(jnp.asarray(channels_last(arrays[f"{run}.x_T"])), None, config)
    steps = sampler_steps(schedule, config)
    for k in range(config.num_steps):
        noises = channels_last(arrays[f"{run}.noises"][k]) if eta else None
        state = sampler_step(step_of, state, step_at(steps, k), noise=noises)
        for got, name in ((state.x, "x"), (state.x0, "pred_x0")):
            close(got, channels_last(arrays[f"{run}.{name}_after_step"][k]), rtol=0, atol=5e-3)
    close(state.x, channels_last(arrays[f"{run}.out"]), rtol=0, atol=5e-3)


def test_the_original_s_tensors_are_written_under_their_names(tmp_path):
    (model, params), state = goldens.load(), goldens.state()
    write_model(tmp_path, model, params)
    assert load_config(tmp_path) == model.config
    written = read_tensors(tmp_path)
    assert set(written) == set(state)
    for key in state:
        np.testing.assert_array_equal(written[key], state[key], err_msg=key)


def test_the_unet_of_a_checkpoint_of_the_whole_system_is_found(tmp_path):
    (model, params), state = goldens.load(), goldens.state()
    whole = {f"{table.PREFIX}{key}": tensor for key, tensor in state.items()}
    whole |= {"first_stage_model.quant_conv.bias": np.ones(8), "scale_arr": np.ones(1400)}
    found, same = table.unet_of_checkpoint(whole, model.config, lambda path, leaf: np.asarray(leaf), tmp_path)
    assert found == model
    jax.tree.map(np.testing.assert_array_equal, params, same)
    with pytest.raises(UserError, match="not a checkpoint of VideoCrafter"):
        table.unet_of_checkpoint(state, model.config, str, tmp_path)
    del whole[f"{table.PREFIX}out.2.bias"]
    with pytest.raises(UserError, match=r"missing tensors: out\.2\.bias"):
        table.unet_of_checkpoint(whole, model.config, str, tmp_path)


@pytest.mark.slow  # a second program
def test_bfloat16_is_close(outputs):
    model, params = goldens.load()
    half = VideoCrafterUNet(model.config, dtype=jnp.bfloat16)
    latents, timesteps, conditions = inputs(goldens.arrays()["unet.fps"])
    out, _ = denoise(half, params, latents, timesteps, per_frame(conditions.text), conditions.fps)
    assert out.dtype == jnp.float32
    want = np.asarray(outputs[0])
    assert 1e-4 < np.sqrt(((out - want) ** 2).mean() / (want**2).mean()) < 2e-2


@pytest.mark.parametrize("variant", ["tiny", "objects", "videocrafter2"])
def test_configs_survive_their_file(variant):
    config = getattr(VideoCrafterConfig, variant)()
    assert table.config_from_json(table.config_to_json(config)) == config
    own = replace(config, attention_levels=(True,) + (False,) * (config.num_levels - 1), layers_per_block=3)
    assert table.config_from_json(table.config_to_json(own)) == own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_linear": False}, "use_linear = False is not supported"),
        ({"attention_resolutions": [3]}, r"attention_resolutions \[3\]: not among"),
        ({"channel_mult": [2, 4]}, "the first channel_mult must be 1"),
        ({"channel_mult": [1, 1.3]}, "must make whole numbers"),
        ({"channel_mult": [1, "2"]}, "must make whole numbers"),
        ({"image_size": 64}, "image_size 64"),
        ({"num_head_channels": 5}, r"divisible by attention_head_dim \(5\)"),
        ({"num_classes": 3}, "unknown keys num_classes"),
    ],
)
def test_config_files_that_cannot_be_are_named(change, message):
    with pytest.raises(UserError, match=message):
        table.config_from_json(table.config_to_json(VideoCrafterConfig.tiny()) | change)
