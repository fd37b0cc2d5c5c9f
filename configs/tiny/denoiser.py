"""The tiny denoiser on shards of latents, text and three tracks.

    python -m mtv_jax.train --config configs/tiny/denoiser.py --config.data.dir=shards

Without `data.dir` it trains on the package's clip, encoded by the preset `tiny`, whose autoencoder has seen nothing
but the theatre: good for trying the command, not for its picture.

On the 40 overlapping clips of `make train-demo` the loss falls from 2 to about 0.1, and samples show that scene.
"""

from ml_collections import ConfigDict, config_dict

from configs import common, stages


def get_config(arg: str = "") -> ConfigDict:
    config = common.get_config(arg)
    config.task = "denoiser"
    config.num_steps = 220
    config.model = common.model("mtv", "tiny")
    config.model.remat = "none"

    config.loss = ConfigDict()
    config.loss.kind = "x0_snr"
    # As the autoencoder beside the shards says.
    config.loss.scaling_factor = config_dict.placeholder(float)
    config.loss.drop_text = 0.1
    config.loss.drop_tracks = 0.05
    config.loss.drop_speech = config.loss.drop_effects = config.loss.drop_music = stages.DROP_TRACK
    config.loss.motion_weight = 0.0
    # The sample itself, not v: see configs/stages.py.
    config.loss.schedule = common.schedule(prediction="sample")
    config.loss.max_weight = 5.0

    # One of mtv_jax.training.configs.ABLATIONS.
    config.ablation = config_dict.placeholder(str)

    config.data.dir = "bundled"
    config.data.batch_size = 4
    config.data.text_length = 40
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.ema_decay = 0.98
    config.checkpoint.every = 110
    config.sample.every = 220
    config.sample.sampler = "dpm++"
    config.sample.num_inference_steps = 20
    config.sample.guidance_scale = 3.5
    return config
