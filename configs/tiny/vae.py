"""The autoencoder of the preset `tiny`, on the synthetic theatre.

    python -m mtv_jax.curate theatre --out runs/tiny/frames --clips 4000 --frames-only --num-frames 9
    python -m mtv_jax.train --config configs/tiny/vae.py

What moves counts twice in its loss: mouths are a small part of the picture. `python benchmarks/theatre_vae.py` shows
what is left of mouths, events, mood and looks on clips that it has not seen.
"""

from ml_collections import ConfigDict

from configs import vae


def get_config(arg: str = "") -> ConfigDict:
    if arg:
        raise ValueError("takes no argument")
    config = vae.get_config("tiny")
    config.num_steps = 4500
    config.data.dir = "runs/tiny/frames"
    config.loss.kl_weight = 3e-4
    config.loss.motion_weight = 2.0
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.ema_decay = 0.995
    config.checkpoint.every = 250
    config.sample.every = 0
    return config
