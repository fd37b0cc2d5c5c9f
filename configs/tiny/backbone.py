"""A tiny text-to-video backbone, trained on all of the synthetic theatre: what stage 1 at tiny size starts from.

    python -m mtv_jax.curate theatre --out runs/theatre --clips 120
    python -m mtv_jax.train --config configs/tiny/backbone.py

At full size that is CogVideoX-5b-I2V, which is downloaded and not trained here.
Its loss falls from 1.8 to about 0.3 on latents of an autoencoder trained on the theatre (see `make stages`); with
the preset's untrained autoencoder latents are mostly noise, and it stays above 1.
"""

from ml_collections import ConfigDict

from configs.tiny import denoiser


def get_config(arg: str = "") -> ConfigDict:
    config = denoiser.get_config(arg)
    config.model.name = "dit"
    config.num_steps = 150
    config.data.dir = "runs/theatre"
    config.checkpoint.every = 50
    config.sample.every = 150
    config.sample.num = 1
    return config
