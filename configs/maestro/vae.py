"""The autoencoder of Maestro's tiny pipeline, on pictures of sounding objects.

python -m mtv_jax.curate objects --content pictures --frames-only --clips 8000 --out runs/maestro/frames
python -m mtv_jax.train --config configs/maestro/vae.py
"""

from ml_collections import ConfigDict

from configs import vae
from mtv_jax.io.config import parse_arg


def get_config(arg: str = "") -> ConfigDict:
    parse_arg(arg)
    config = vae.get_config("tiny")
    config.model.name = "kl_vae"
    config.model.variant = "objects"
    config.num_steps = 4000
    config.data.dir = "runs/maestro/frames"
    config.data.batch_size = 8
    config.loss.kl_weight = 2e-3
    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.ema_decay = 0.995
    config.checkpoint.every = 250
    config.sample.every = 0
    return config
