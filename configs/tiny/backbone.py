"""A tiny text-to-video backbone, trained on all of the synthetic theatre: what stage 1 at tiny size starts from.

    python -m mtv_jax.curate theatre --out runs/tiny/theatre --clips 5000 --vae runs/tiny/vae
    python -m mtv_jax.train --config configs/tiny/backbone.py

At full size that is CogVideoX-5b-I2V, which is downloaded and not trained here. `make tiny` runs this in its place.
"""

from ml_collections import ConfigDict

from configs import stages
from configs.tiny import denoiser


def get_config(arg: str = "") -> ConfigDict:
    config = denoiser.get_config(arg)
    config.model.name = "dit"
    config.num_steps = 300
    config.data.dir = "runs/tiny/theatre"
    config.data.batch_size = 16
    config.loss.motion_weight = stages.TINY_MOTION_WEIGHT
    config.optimizer.learning_rate = stages.TINY_RATE
    config.optimizer.schedule = "constant"
    config.optimizer.warmup_steps = 50
    config.optimizer.ema_decay = 0.99
    config.checkpoint.every = 100
    config.sample.every = 0
    return config
