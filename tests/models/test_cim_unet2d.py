"""The UNet of pictures that hears: sizes that go together, and the signature of a denoiser."""

import jax
import numpy as np
import pytest
from cim_networks import make_cim_batch, make_cim_network

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.errors import UserError
from mtv_jax.models.denoisers import backbone_config, denoiser_inputs
from mtv_jax.models.registry import make_config, make_model, trained_by
from mtv_jax.models.shapes import parameter_counts


@pytest.fixture(scope="module")
def network():
    return make_cim_network()


def test_a_picture_is_denoised_by_the_sound_of_its_segment_alone(network):
    model, params = network
    batch = make_cim_batch(2)
    latents, mel = (batch[name].astype(np.float32) for name in ("latents_mean", "mel"))
    text, times = np.zeros((2, 12, 24), np.float32), np.float32([3, 900])
    denoise = jax.jit(lambda mel: model.apply(params, latents, times, Conditions(text, {"mel": mel})))
    out = np.asarray(denoise(mel))
    assert out.shape == latents.shape
    mel[1, 0] = make_cim_batch(2, seed=1)["mel"][1, 0]
    moved = np.abs(np.asarray(denoise(mel)) - out).max((2, 3, 4))
    assert moved[1, 0] > 1e-3
    assert moved.ravel()[[0, 1, 3]].max() < 1e-5


def test_it_is_planned_and_trained_as_a_denoiser_with_a_track(network):
    model, _ = network
    assert trained_by("cim") == ("cim_unet2d",)
    assert backbone_config(model) is model.config.unet
    _, _, conditions = denoiser_inputs(model, (5, 4, 4), rows=3)
    assert conditions.tracks["mel"].shape == (3, 5, 128, 204)


def test_the_published_sizes():
    counts = parameter_counts(make_model("cim_unet2d", make_config("cim_unet2d", "paper")))
    groups = {
        group: sum(n for part, n in counts.items() if part.split("/")[0] == group)
        for group in ("cim", "unet")
    }
    assert groups == {"cim": 71_092_224, "unet": 865_910_724}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"cim": {"embedding_dim": 9}}, "cim.embedding_dim 9: must be imagebind.audio.width, 8"),
        ({"cim": {"output_dim": 9}}, "cim.output_dim 9: must be unet.text_embed_dim, 24"),
        ({"cim": {"num_queries": 78}}, "cim.num_queries 78: a text of 77 tokens has room for 77"),
        ({"first_slot": 2}, "first_slot 2"),
        ({"first_slot": 1, "cim": {"num_queries": 77}}, "a text of 77 tokens has room for 76"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        make_config("cim_unet2d", "tiny", overrides)
