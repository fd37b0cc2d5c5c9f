"""Work done in a training step, for the speed in its log."""

import jax

from mtv_jax.planning.chips import peak_flops
from mtv_jax.planning.flops import num_tokens
from mtv_jax.planning.plans import passes, training_work
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.sharding.mesh import make_mesh
from mtv_jax.training.job import Setup
from mtv_jax.training.metrics import Throughput


def throughput_of(setup: Setup) -> Throughput | None:
    """Tokens and operations of a training step; None for an autoencoder, which is not supported."""
    config, model = setup.config, setup.model
    if config.task == "vae":
        return None
    size = LatentSize(*setup.shards.shapes["latents_mean"][:3])
    peak = peak_flops(jax.devices()[0].device_kind)
    return Throughput(
        config.data.batch_size * passes(config) * num_tokens(model, size),
        training_work(config, model, size).needed,
        peak and peak * make_mesh(config.mesh).size,
    )
