"""VideoCrafter2's UNet against the original's numbers, and what the module promises."""

import functools
import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import videocrafter_goldens as goldens
from random_weights import random_weights
from videocrafter_goldens import channels_last

from mtv_jax import load_model, save_model
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.io.errors import UserError
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.videocrafter import VideoCrafterConfig, VideoCrafterUNet
from mtv_jax.weights import videocrafter as table
from mtv_jax.weights.rules import to_state

pytestmark = pytest.mark.skipif(
    not goldens.FOLDER.is_dir(), reason="MTV_JAX_GOLDENS has no videocrafter2/"
)


def close(got: Any, want: np.ndarray, name: str = "") -> None:
    """Within the bounds of the goldens' README."""
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * np.abs(want).max(), err_msg=name)


@functools.partial(jax.jit, static_argnums=0)
def run(model, params, latents, timesteps, conditions):
    """The prediction, and the output of every module."""
    options: Any = {"capture_intermediates": True, "mutable": ["intermediates"]}
    return model.apply(params, latents, timesteps, conditions, **options)


def inputs(fps: Any) -> tuple[Any, ...]:
    """Latents, timesteps and conditions of the goldens, with another frame rate."""
    arrays = goldens.arrays()
    timesteps = arrays["unet.timesteps"].astype(np.float32)
    rates = np.broadcast_to(np.asarray(fps, np.float32), timesteps.shape)
    return channels_last(arrays["unet.x"]), timesteps, Conditions(arrays["unet.context"], fps=rates)


@pytest.fixture(scope="module")
def outputs():
    """The prediction for the goldens' frame rates, and every module's output by its path."""
    out, seen = run(*goldens.load(), *inputs(goldens.arrays()["unet.fps"]))
    flat = jax.tree.leaves_with_path(seen["intermediates"])
    return out, {"/".join(key.key for key in path[:-1]): value for path, value in flat}


def layers() -> dict[str, tuple[str, ...]]:
    """Name of a recorded output -> path of the module here, from the sizes of the network."""
    config = goldens.load()[0].config
    found = {
        "input_block0": "conv_in",
        "init_attn": "temporal_in",
        "module:input_blocks.1.0.temopral_conv": "down_0_0/temporal_conv",
        "module:input_blocks.1.0": "down_0_0/temporal_conv",
        "module:middle_block.1": "middle_0/spatial",
        "module:middle_block.2": "middle_0/temporal",
        "middle_block": "middle_1",
        "timestep_embedding_t": "time_embedding/sinusoid",
        "time_embed_out": "time_embedding",
        "fps_embedding_out": "fps_embedding",
    }
    number = 1
    for level in range(config.num_levels):
        for block in range(config.layers_per_block):
            found[f"input_block{number}"] = f"down_{level}_{block}"
            number += 1
        found[f"input_block{number}"] = f"downsample_{level}"
        number += 1
    for number in range(config.num_levels * (config.layers_per_block + 1)):
        step, block = divmod(number, config.layers_per_block + 1)
        up = block == config.layers_per_block and step < config.num_levels - 1
        found[f"output_block{number}"] = f"upsample_{step}" if up else f"up_{step}_{block}"
    return found


def test_every_block_is_the_original_s(outputs):
    arrays, (out, seen) = goldens.arrays(), outputs
    close(out, channels_last(arrays["unet.out"]))
    compared = 0
    for name, path in layers().items():
        if (want := arrays.get(f"unet.{name}")) is None:
            continue
        got = seen[path if path in seen else f"{path}/__call__"]
        if want.ndim == 5:  # [b c f h w]
            want = channels_last(want).reshape(got.shape)
        close(got, np.moveaxis(want, 1, -1) if name != "x" and want.ndim == 4 and want.shape != got.shape else want)
        compared += 1
    recorded = {key for key in arrays if key.startswith("unet.")}
    rest = {"x", "timesteps", "context", "fps", "context_per_frame"}
    rest |= {name for name in ("out", "out_fps_int16", "out_fps_int8", "out_per_frame_context")}
    assert compared == len(recorded - {f"unet.{name}" for name in rest})


@pytest.mark.parametrize("fps", [8, 16])
def test_the_frame_rate_is_that_of_the_original(outputs, fps):
    out, _ = run(*goldens.load(), *inputs(fps))
    close(out, channels_last(goldens.arrays()[f"unet.out_fps_int{fps}"]))


def test_without_a_frame_rate_it_is_16(outputs):
    model, params = goldens.load()

    @jax.jit
    def embedded(fps: Any) -> Any:  # nothing else is compiled
        latents, timesteps, conditions = inputs(0)
        options: Any = {"mutable": ["intermediates"]}
        given = replace(conditions, fps=fps)
        return model.apply(params, latents, timesteps, given, **options)[1]["intermediates"]["fps_embedding"]

    jax.tree.map(np.testing.assert_array_equal, embedded(None), embedded(np.full(2, 16, np.float32)))


def test_each_frame_may_have_a_context_of_its_own():
    (model, params), arrays = goldens.load(), goldens.arrays()
    latents, timesteps, conditions = inputs(arrays["unet.fps"])
    tokens = arrays["unet.context_per_frame"].reshape(*latents.shape[:2], *conditions.text.shape[1:])
    apply = jax.jit(functools.partial(model.apply, method="denoise"))
    out = apply(params, latents, timesteps, Contexts(tokens), conditions.fps)
    close(out, channels_last(arrays["unet.out_per_frame_context"]))


def test_bfloat16_is_close(outputs):
    model, params = goldens.load()
    half = VideoCrafterUNet(model.config, dtype=jnp.bfloat16)
    out = jax.jit(half.apply)(params, *inputs(goldens.arrays()["unet.fps"]))
    assert out.dtype == jnp.float32
    want = np.asarray(outputs[0])
    assert 1e-4 < np.sqrt(((out - want) ** 2).mean() / (want**2).mean()) < 2e-2


def test_the_original_s_tensors_come_back_under_their_names(tmp_path):
    (model, params), state = goldens.load(), goldens.state()
    save_model(tmp_path, model, params)
    again, loaded = load_model(tmp_path)
    assert again == model
    back = to_state(loaded, table.rules(model.config))
    assert set(back) == set(state)
    for key, tensor in back.items():
        np.testing.assert_array_equal(tensor, state[key], err_msg=key)
