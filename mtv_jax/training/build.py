"""From the config of a run to its model and task."""

from typing import Any

import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.training.configs import TrainConfig
from mtv_jax.training.tasks import Task, VAELossConfig, denoiser_task, vae_task

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def make_task(config: TrainConfig) -> tuple[Any, Task]:
    """The model of a config, and how it is trained."""
    section = config.model
    if section.dtype not in DTYPES:
        raise UserError(f"config.model.dtype {section.dtype!r}: must be one of {', '.join(DTYPES)}")
    network = make_config(section.name, section.variant, section.overrides)
    dtype = DTYPES[section.dtype]
    if isinstance(config.loss, VAELossConfig):
        model = make_model(section.name, network, dtype=dtype)
        return model, vae_task(model, config.loss)
    model = make_model(section.name, network, dtype=dtype, remat=section.remat)
    return model, denoiser_task(model, config.loss)
