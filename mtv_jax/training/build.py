"""Builds the model and task of a run from its config."""

from typing import Any

import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import make_config, make_model, network
from mtv_jax.training.cim_task import CIMLossConfig, cim_task
from mtv_jax.training.configs import TrainConfig
from mtv_jax.training.tasks import Task, VAELossConfig, denoiser_task, vae_task

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def make_task(config: TrainConfig) -> tuple[Any, Task]:
    """The model of a config and its training task."""
    section = config.model
    if section.dtype not in DTYPES:
        raise UserError(f"config.model.dtype {section.dtype!r}: must be one of {', '.join(DTYPES)}")
    spec = network(section.name)
    options = {"remat": section.remat} if section.remat != "none" else {}
    if options and section.remat not in spec.remat:
        known = ", ".join(spec.remat or ("none",))
        raise UserError(f"config.model.remat {section.remat!r}: the network {spec.name!r} takes {known}")
    values = make_config(section.name, section.variant, section.overrides)
    model = make_model(section.name, values, dtype=DTYPES[section.dtype], **options)
    if isinstance(config.loss, VAELossConfig):
        return model, vae_task(model, config.loss)
    if isinstance(config.loss, CIMLossConfig):
        return model, cim_task(model, config.loss)
    return model, denoiser_task(model, config.loss)
