"""What the training configs share."""

from dataclasses import asdict
from typing import Any

from ml_collections import ConfigDict, config_dict

from mtv_jax.diffusion.noise.vp import ScheduleConfig


def get_config(arg: str = "") -> ConfigDict:
    """A run's config without its task, model and loss."""
    if arg:
        raise ValueError("takes no argument")
    config = ConfigDict()
    config.seed = 0
    # Of runs that start from one another each has its own: other noise, timesteps, dropout and order of clips.
    config.stream = 0
    config.num_steps = 40_000
    # The batch goes through in so many parts, one after another.
    config.accumulate = 1

    config.data = ConfigDict()
    config.data.dir = config_dict.placeholder(str)
    config.data.batch_size = 8
    config.data.num_workers = 0
    config.data.read_threads = 4
    config.data.prefetch_batches = 4

    config.optimizer = ConfigDict()
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = "linear"
    config.optimizer.warmup_steps = 100
    config.optimizer.b1 = 0.9
    config.optimizer.b2 = 0.95
    config.optimizer.eps = 1e-8
    config.optimizer.weight_decay = 1e-4
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.999
    config.optimizer.trainable = (".*",)
    config.optimizer.lr_factors = ()
    config.optimizer.moment_dtype = "float32"
    config.optimizer.ema_dtype = "float32"

    config.mesh = ConfigDict({"data": -1, "fsdp": 1, "tensor": 1, "context": 1})
    config.checkpoint = ConfigDict({"every": 1000, "keep": 3})
    config.sample = ConfigDict({"every": 1000})
    config.compilation_cache = "auto"
    # A training directory or a pipeline folder whose weights a new run starts from.
    config.init_from = config_dict.placeholder(str)
    return config


def model(name: str, variant: str) -> ConfigDict:
    """The section that says which network; `overrides` replaces fields of its config.

    Each field can be set on the command line: `--config.model.overrides.controlnet.rope_queries=false`.
    """
    return ConfigDict({"name": name, "variant": variant, "dtype": "float32", "overrides": {}})


def schedule(**changes: Any) -> ConfigDict:
    """The section `loss.schedule`: all fields of `ScheduleConfig`, as that says but for `changes`."""
    return ConfigDict(asdict(ScheduleConfig(**changes)))
