"""The causal 3D autoencoder on shards of frames.

    python -m mtv_jax.train --config configs/vae.py:tiny --config.data.dir=frames

The tiny one trains on the package's clip if `data.dir` is not given, and reaches about 24 dB of PSNR on it.
Without `:tiny` it has CogVideoX's size.
"""

from ml_collections import ConfigDict

from mtv_jax.io.config import parse_arg
from mtv_jax.training.configs import tree


def get_config(arg: str = "") -> ConfigDict:
    config = tree("vae")
    config.num_steps = 40_000
    config.data.batch_size = 8
    config.model.name = "vae3d"
    config.model.variant = "cogvideox_5b"
    config.loss.motion_weight = 0.5
    config.optimizer.learning_rate = 1e-4
    config.optimizer.warmup_steps = 100
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.999
    if parse_arg(arg, tiny=False).tiny:
        _make_tiny(config)
    return config


def _make_tiny(config: ConfigDict) -> None:
    config.model.variant = "tiny"
    config.num_steps = 200
    config.data.dir = "bundled"
    # It encodes frames one by one.
    config.loss.single_frames = True
    config.loss.motion_weight = 0.0
    config.optimizer.learning_rate = 3e-3
    config.optimizer.warmup_steps = 10
    config.optimizer.ema_decay = 0.95
    config.checkpoint.every = 100
    config.sample.every = 200
