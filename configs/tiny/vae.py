"""The tiny autoencoder, on single frames of the theatre.

    python -m mtv_jax.curate theatre --out runs/tiny/frames --clips 6000 --frames-only --num-frames 5
    python -m mtv_jax.train --config configs/tiny/vae.py

The weight of the KL divergence leaves noise of about a tenth of their spread on the latents: what the picture needs is
then written large enough that a denoiser's errors do not hide it.
"""

from ml_collections import ConfigDict

from configs import vae
from mtv_jax.io.config import parse_arg


def get_config(arg: str = "") -> ConfigDict:
    parse_arg(arg)
    config = vae.get_config("tiny")
    config.num_steps = 2600
    config.data.dir = "runs/tiny/frames"
    config.loss.kl_weight = 2e-3
    config.optimizer.lr_factors = ((".*conv(1|2|_in|_out)/kernel", 3.0),)
    config.optimizer.warmup_steps = 50
    config.optimizer.ema_decay = 0.995
    config.checkpoint.every = 250
    config.sample.every = 0
    return config
