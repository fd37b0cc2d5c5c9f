"""Stable Diffusion's UNet on text and pictures: what the Condition Injection Module is trained through.

    python -m mtv_jax.train --config configs/maestro/image.py:tiny

At full size this is stable-diffusion-2-1-base, which is downloaded. `:tiny` trains it on pictures of sounding objects,
made by

    python -m mtv_jax.curate objects --content pictures --clips 12000 --encoders runs/maestro/encoders \
      --vae runs/maestro/vae-mse --out runs/maestro/pictures
"""

from ml_collections import ConfigDict

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.config import parse_arg
from mtv_jax.io.trees import to_tree
from mtv_jax.training.configs import tree


def get_config(arg: str = "") -> ConfigDict:
    tiny = parse_arg(arg, tiny=False).tiny
    config = tree("denoiser")
    config.model.name = "unet2d"
    config.loss.kind = "mse"
    config.loss.drop_tracks = 0.0
    if tiny:
        make_tiny(config)
        config.num_steps = 2200
        config.model.variant = "objects"
        config.data.dir = "runs/maestro/pictures"
        config.data.batch_size = 64
        return config
    config.num_steps = 100_000
    config.model.variant = "sd_2_1_base"
    config.model.dtype = "bfloat16"
    config.model.remat = "block"
    config.loss.schedule = to_tree(ScheduleConfig.videocrafter2())
    config.loss.schedule.scale_b = 1.0
    config.data.batch_size = 256
    config.optimizer.learning_rate = 1e-4
    config.sample.sampler = "ddim"
    config.sample.num_inference_steps = 50
    config.sample.guidance_scale = 7.5
    return config


def make_tiny(config: ConfigDict) -> None:
    """What the tiny networks have in common: v prediction, and rates and averages for few steps."""
    config.data.text_length = 77
    config.optimizer.learning_rate = 1e-3
    config.optimizer.warmup_steps = 200
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.998
    config.optimizer.b2 = 0.99
    config.checkpoint.every = 250
    config.sample.update({"every": 0, "sampler": "ddim", "num_inference_steps": 50, "guidance_scale": 3.0})
