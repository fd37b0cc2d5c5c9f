"""The causal 3D autoencoder on shards of frames.

    python -m mtv_jax.train --config configs/vae.py:tiny --config.data.dir=frames

The tiny one trains on the package's clip if `data.dir` is not given, and reaches about 24 dB of PSNR on it.
Without `:tiny` it has CogVideoX's size.
"""

from ml_collections import ConfigDict

from configs import common

VARIANTS = {"": "cogvideox_5b", "tiny": "tiny"}


def get_config(arg: str = "") -> ConfigDict:
    if arg not in VARIANTS:
        raise ValueError("the argument is 'tiny', or nothing for the full size")
    config = common.get_config()
    config.task = "vae"
    config.model = common.model("vae3d", VARIANTS[arg])
    config.loss = ConfigDict({"kind": "l1", "kl_weight": 1e-6, "motion_weight": 0.5, "single_frames": False})
    if arg == "tiny":
        config.data.dir = "bundled"
        config.num_steps = 200
        config.data.batch_size = 8
        # It codes frames one by one.
        config.loss.single_frames = True
        config.loss.motion_weight = 0.0
        config.optimizer.learning_rate = 3e-3
        config.optimizer.warmup_steps = 10
        config.optimizer.ema_decay = 0.95
        config.checkpoint.every = 100
        config.sample.every = 200
    return config
