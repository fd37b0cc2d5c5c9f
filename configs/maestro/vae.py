"""The autoencoder of Maestro's tiny pipeline, on pictures of sounding objects.

python -m mtv_jax.curate objects --content pictures --frames-only --clips 8000 --seed 7 --out runs/maestro/frames
python -m mtv_jax.train --config configs/maestro/vae.py
python -m mtv_jax.train --config configs/maestro/vae.py:mse

The second goes on from the first with squared errors. Absolute ones leave a colour out that few pixels have: after the
first, the purple of the cars is missing; the second adds it.
"""

from ml_collections import ConfigDict

from configs import vae
from mtv_jax.io.config import parse_arg


def get_config(arg: str = "") -> ConfigDict:
    mse = parse_arg(arg, mse=False).mse
    config = vae.get_config("tiny")
    config.model.name = "kl_vae"
    config.model.variant = "objects"
    config.num_steps = 2500
    config.data.dir = "runs/maestro/frames"
    config.data.batch_size = 8
    config.loss.kl_weight = 2e-3
    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.ema_decay = 0.995
    config.checkpoint.every = 250
    config.sample.every = 0
    if mse:
        config.init_from = "runs/maestro/vae/pipeline"
        config.loss.kind = "mse"
        config.loss.kl_weight = 3e-4
        config.optimizer.learning_rate = 2e-3
    return config
