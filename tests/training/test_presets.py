"""Each form of the controlnet trains: at toy size its loss falls, by the loss and the prediction that go with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import SMALL

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.training import steps
from mtv_jax.training.optim import OptimizerConfig
from mtv_jax.training.tasks import DenoiserLossConfig, denoiser_task

STEPS = 60
TRAINABLE = ("controlnet/.*", "transformer/(blocks/injection|proj_out)/.*")
"""The controlnet, and of the backbone what it needs to follow one: fewer gradients to compile."""
PRESETS = {
    "released": ("tiny", DenoiserLossConfig(scaling_factor=1.0)),
    # MTV Eq. 1.
    "paper": (
        "tiny_paper",
        DenoiserLossConfig(kind="mse", scaling_factor=1.0, schedule=ScheduleConfig(prediction="epsilon")),
    ),
}


def one_clip(rows: int) -> dict[str, jax.Array]:
    """The same clip again and again, with next to no spread in its latents."""
    keys = dict(
        zip(
            ("latents_mean", "text", "speech", "effects", "music"),
            jax.random.split(jax.random.key(0), 5),
            strict=True,
        )
    )
    shapes = {"latents_mean": (2, 4, 4, 4), "text": (7, 8)} | dict.fromkeys(
        ("speech", "effects", "music"), (5, 2, 8)
    )
    clip = {name: jax.random.normal(keys[name], shape) for name, shape in shapes.items()}
    batch = {name: jnp.broadcast_to(x, (rows, *x.shape)) for name, x in clip.items()}
    return batch | {"latents_logvar": jnp.full(batch["latents_mean"].shape, -20.0)}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_loss_of_a_preset_falls(preset):
    variant, loss = PRESETS[preset]
    model = make_model("mtv", make_config("mtv", variant, SMALL["mtv"]))
    task, batch = denoiser_task(model, loss), one_clip(16)
    optimizer = OptimizerConfig(
        learning_rate=1e-2, schedule="constant", warmup_steps=0, ema_decay=0.0, trainable=TRAINABLE
    )
    step = steps.make_step(task, optimizer, STEPS, 0)

    @jax.jit
    def train():
        first = steps.make_init(task, optimizer, STEPS, 0, batch)()
        last, metrics = jax.lax.scan(lambda state, _: step(state, batch), first, length=STEPS)
        return first.params, last.params, metrics["loss"]

    first, last, losses = train()
    assert losses[-10:].mean() < 0.6 * losses[:5].mean(), losses
    # Down to the sound's first layer.
    before, after = (params["params"]["controlnet"]["effects"]["proj1"]["kernel"] for params in (first, last))
    assert np.abs(np.asarray(after) - before).max() > 1e-3
