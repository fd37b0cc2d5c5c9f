"""Config files of Stable Diffusion's UNet. Its numbers are compared in tests/parity."""

from dataclasses import replace

import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.models.unet2d import UNet2DConfig
from mtv_jax.weights import unet2d as table

SD_2_1_BASE = {
    "_class_name": "UNet2DConditionModel",
    "_diffusers_version": "0.8.0",
    "act_fn": "silu",
    "attention_head_dim": [5, 10, 20, 20],
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 1024,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "only_cross_attention": False,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "use_linear_projection": True,
}
"""Its config.json."""


def test_the_published_config_is_read():
    assert table.config_from_json(SD_2_1_BASE) == UNet2DConfig.sd_2_1_base()


@pytest.mark.parametrize("config", [UNet2DConfig.tiny(), UNet2DConfig.sd_2_1_base()])
def test_configs_survive_their_file(config):
    assert table.config_from_json(table.config_to_json(config)) == config
    own = replace(config, sample_width=96, attention_levels=(True,) + (False,) * (config.num_levels - 1))
    assert table.config_from_json(table.config_to_json(own)) == own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_linear_projection": False}, "use_linear_projection = False is not supported"),
        ({"attention_head_dim": 8}, "heads of one width"),
        ({"attention_head_dim": [5, 10]}, "must be 4 numbers of heads"),
        ({"up_block_types": ["CrossAttnUpBlock2D"] * 4}, "on the way down"),
        ({"down_block_types": ["AttnDownBlock2D"] * 4}, "down_block_types"),
        ({"block_out_channels": 320}, "block_out_channels 320: must be a list"),
        ({"encoder_hid_dim": 3}, "encoder_hid_dim = 3 is not supported"),
    ],
)
def test_config_files_that_cannot_be_are_named(change, message):
    with pytest.raises(UserError, match=message):
        table.config_from_json(SD_2_1_BASE | change)
