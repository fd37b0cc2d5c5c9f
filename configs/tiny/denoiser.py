"""The tiny denoiser on shards of latents, text and three tracks.

    python -m mtv_jax.train --config configs/tiny/denoiser.py --config.data.dir=shards

Without `data.dir` it trains on the package's clip, encoded by the preset `tiny`, whose autoencoder has seen nothing
but the theatre: good for trying the command, not for its picture.

On the 40 overlapping clips of `make train-demo` the loss falls from 2 to about 0.1, and samples show that scene.
"""

from ml_collections import ConfigDict

from configs import stages
from mtv_jax.io.config import parse_arg
from mtv_jax.training.configs import tree


def get_config(arg: str = "") -> ConfigDict:
    parse_arg(arg)
    config = tree("denoiser")
    config.num_steps = 220
    config.model.name = "mtv"
    config.model.variant = "tiny"
    config.loss.drop_speech = config.loss.drop_effects = config.loss.drop_music = stages.DROP_TRACK
    # The sample itself, not v: see configs/stages.py.
    config.loss.schedule.prediction = "sample"
    config.loss.max_weight = 5.0
    config.data.dir = "bundled"
    config.data.batch_size = 4
    config.data.text_length = 40
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.98
    config.checkpoint.every = 110
    config.sample.every = 220
    return config
