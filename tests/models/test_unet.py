"""What both UNets share: sources' tokens in their cross-attentions, and what they do not take."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from precision import equations
from random_weights import random_weights

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.unet2d import UNet2DConfig
from mtv_jax.models.videocrafter import VideoCrafterConfig, VideoCrafterUNet

SIZES: dict[str, Any] = {
    "block_out_channels": (8,),
    "attention_levels": (True,),
    "layers_per_block": 1,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
    "text_embed_dim": 6,
}
SMALL = {"unet2d": UNet2DConfig(**SIZES), "videocrafter": VideoCrafterConfig(**SIZES)}
TRANSFORMERS = 4
"""One on the way down, one in the middle, two on the way up."""


def inputs(frames: int = 2, *, boxes: bool = True) -> tuple[Any, ...]:
    """Latents, timesteps and conditions of a clip with two sources of three tokens."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    mosaic = Mosaic(
        ("dog", "cat"),
        np.broadcast_to(
            np.asarray([[0, 0, 0.5, 1], [0.5, 0, 1, 1]], np.float32)[None, :, None], (1, 2, frames, 4)
        ),
        background=np.zeros((1, 2), bool),
        active=np.ones((1, 2), bool),
        locate_until=np.full(1, 900, np.float32),
    )
    tracks = {name: draw(1, frames, 3, 6) for name in mosaic.names}
    conditions = Conditions(draw(1, 8, 6), tracks, boxes=mosaic if boxes else None)
    return draw(1, frames, 4, 4, 4), np.full(1, 500, np.float32), conditions


def count(name: str, function: Any, *arguments: Any) -> int:
    """How many primitives there are in a program whose names begin so."""
    program = jax.make_jaxpr(function)(*arguments)
    return sum(equation.primitive.name.startswith(name) for equation in equations(program.jaxpr))


@pytest.mark.slow  # the only program that is compiled here
def test_gradients_reach_the_tokens_of_each_source_in_its_own_frame():
    """Of pictures: the loss is of the first frame alone."""
    model: Any = make_model("unet2d", SMALL["unet2d"])
    params = random_weights(model)
    latents, timesteps, conditions = inputs()

    def loss(tracks: Any) -> Any:
        return jnp.square(
            model.apply(params, latents, timesteps, replace(conditions, tracks=tracks))[:, 0]
        ).mean()

    for name, gradient in jax.jit(jax.grad(loss))(conditions.tracks).items():
        assert np.all(np.abs(gradient[0, 0]).max(-1) > 1e-7), name
        np.testing.assert_array_equal(gradient[0, 1], 0, err_msg=name)


@pytest.mark.parametrize("name", SMALL)
def test_boxes_act_in_every_spatial_cross_attention(name):
    model: Any = make_model(name, SMALL[name])
    params = parameter_shapes(model)

    # It chooses between Object Locating and Mosaic Denoising.
    assert count("cond", model.apply, params, *inputs()) == TRANSFORMERS
    assert count("cond", model.apply, params, *inputs(boxes=False)) == 0


def test_longer_videos_than_those_of_the_training_run():
    model: Any = VideoCrafterUNet(SMALL["videocrafter"])
    frames = 3 * model.config.sample_frames
    out: Any = jax.eval_shape(model.apply, parameter_shapes(model), *inputs(frames))
    assert out.shape == (1, frames, 4, 4, 4)


def test_videos_without_a_frame_rate_have_the_original_s_default():
    model: Any = VideoCrafterUNet(SMALL["videocrafter"])
    params = random_weights(model)
    latents, timesteps, conditions = inputs(boxes=False)

    @jax.jit
    def embedding(fps: Any) -> Any:  # all else is dropped before it is compiled
        given = replace(conditions, fps=fps)
        _, seen = model.apply(params, latents, timesteps, given, mutable=["intermediates"])
        return seen["intermediates"]["fps_embedding"]["embedding"][0]

    np.testing.assert_array_equal(embedding(None), embedding(np.full(1, 16, np.float32)))


def test_layers_are_computed_again_in_the_backward_pass():
    def recomputed(remat: str) -> int:
        model: Any = make_model("unet2d", SMALL["unet2d"], remat=remat)
        given = inputs(boxes=False)
        gradient = jax.grad(lambda params: model.apply(params, *given).sum())
        return count("remat", gradient, parameter_shapes(model))

    assert recomputed("none") == 0
    assert recomputed("block") == TRANSFORMERS + 1  # the second layer of the middle has no transformer


def test_what_does_not_fit_is_named():
    model: Any = make_model("unet2d", UNet2DConfig.tiny())
    latents, timesteps, conditions = inputs(boxes=False)

    def run(latents: Any, **changes: Any) -> None:
        model.apply({"params": {}}, latents, timesteps, replace(conditions, **changes))

    with pytest.raises(UserError, match="latents of 5 x 4: must be divisible by 2"):
        run(np.ones((1, 2, 5, 4, 4), np.float32))
    for name in ("clean_mask", "image"):
        with pytest.raises(UserError, match="keyframes or an image"):
            run(latents, **{name: np.ones((1, 2), bool)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_levels": (True, False)}, "attention_levels .*: must be 1 of true and false"),
        ({"attention_levels": ()}, r"attention_levels \(\): must be 1 of true and false"),
        ({"block_out_channels": (10,)}, r"block_out_channels 10: must be divisible by norm_num_groups \(4\)"),
        ({"transformer_layers": 65}, "transformer_layers 65: must be at most 64"),
        ({"layers_per_block": 0}, "layers_per_block 0: must be at least 1"),
    ],
)
def test_configs_that_cannot_be_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        replace(SMALL["unet2d"], **changes)
