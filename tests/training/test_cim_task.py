"""The loss of the Condition Injection Module against Eq. 3 written out, and what learns by it."""

from typing import Any

import jax
import numpy as np
import pytest
from cim_networks import SEGMENTS, make_cim_batch, make_cim_network
from flax.traverse_util import flatten_dict

from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.diffusion.noise.vp import ScheduleConfig, full_alphas_cumprod
from mtv_jax.io.errors import UserError
from mtv_jax.models.cim import ConditionInjectionModule
from mtv_jax.models.imagebind import ImageBindAudio
from mtv_jax.models.unet2d import UNet2D
from mtv_jax.ops.spec_augment import SpecAugmentConfig, spec_augment
from mtv_jax.training import steps
from mtv_jax.training.cim_task import CIMLossConfig, cim_task, spread_timesteps
from mtv_jax.training.optim import (
    OptimizerConfig,
    is_trainable,
    learning_rate_schedule,
    make_optimizer,
)
from mtv_jax.training.state import create_state

KEY = jax.random.key(3)
SCALE = 0.5
AUGMENT = SpecAugmentConfig(frequency_mask_width=60)
NO_COPY = SpecAugmentConfig(frequency_masks=0, time_warp=0)
ROWS = 2


@pytest.fixture(scope="module")
def network():
    return make_cim_network()


@pytest.fixture(scope="module")
def batch():
    return make_cim_batch(ROWS) | {"timesteps": np.array([100, 700])}


def task_of(model, **fields):
    return cim_task(model, CIMLossConfig(scaling_factor=SCALE, **({"augment": AUGMENT} | fields)))


def contexts_of(model, params, mel, slot):
    """[b f l d]: the empty text with the tokens of each segment from `slot` on, segment by segment."""
    p, config = params["params"], model.config
    hear, inject = ImageBindAudio(config.imagebind), ConditionInjectionModule(config.cim)

    def tokens(segment):
        encoding: Any = hear.apply({"params": p["imagebind"]}, segment[None])
        return np.asarray(inject.apply({"params": p["cim"]}, encoding.tokens))[0]

    found = np.stack([np.stack([tokens(segment) for segment in row]) for row in mel])
    made = np.broadcast_to(p["no_text"], (*found.shape[:2], *p["no_text"].shape)).copy()
    made[:, :, slot : slot + config.cim.num_queries] = found
    return made


def equation_3(model, params, batch, key, lambda_1, slot):
    """The four terms and their sum, with a loop over pictures and the noise of the key."""
    p = params["params"]
    posterior, noise_key, augment = jax.random.split(key, 3)
    mean, logvar, mel, text = (
        batch[name].astype(np.float32) for name in ("latents_mean", "latents_logvar", "mel", "text")
    )
    x0 = SCALE * (mean + np.exp(logvar / 2) * np.asarray(jax.random.normal(posterior, mean.shape)))
    noise = np.asarray(jax.random.normal(noise_key, mean.shape))
    abar = full_alphas_cumprod(ScheduleConfig.stable_diffusion())
    changed = np.asarray(spec_augment(augment, mel.reshape(-1, *mel.shape[2:]), AUGMENT)).reshape(mel.shape)
    unet = jax.jit(UNet2D(model.config.unet).apply, static_argnames="method")
    found = []
    for sound in (mel, changed):
        contexts, squares = contexts_of(model, params, sound, slot), []
        for row in range(len(x0)):
            for picture in range(SEGMENTS):
                t = (int(batch["timesteps"][row]) + picture * 1000 // SEGMENTS) % 1000
                noised = np.sqrt(abar[t]) * x0[row, picture] + np.sqrt(1 - abar[t]) * noise[row, picture]
                context = Contexts(contexts[row, picture][None, None].astype(np.float32))
                made = unet(
                    {"params": p["unet"]},
                    noised[None, None].astype(np.float32),
                    np.float32([t]),
                    context,
                    method="denoise",
                )
                squares.append(np.mean((noise[row, picture] - np.asarray(made)[0, 0]) ** 2))
        found.append((np.mean(squares), np.mean((contexts - text[:, None]) ** 2)))
    (denoising, distance), (denoising_2, distance_2) = found
    total = lambda_1 * (denoising + denoising_2) + (1 - lambda_1) * (distance + distance_2)
    return total, denoising, denoising_2, distance, distance_2


@pytest.mark.parametrize("slot", [0, 1])
def test_the_loss_is_equation_3(network, batch, slot):
    _, params = network
    model, _ = make_cim_network(first_slot=slot)
    total, *terms = equation_3(model, params, batch, KEY, 0.9, slot)
    loss, metrics = jax.jit(task_of(model).loss)(params, batch, KEY)
    names = ("denoising_sound", "denoising_augmented", "text_sound", "text_augmented")
    assert [float(metrics[name]) for name in names] == pytest.approx(terms, rel=1e-4)
    assert float(loss) == pytest.approx(total, rel=1e-4)
    assert len({round(float(term), 3) for term in terms}) == 4
    if slot:
        return
    alone, kept = jax.jit(task_of(model, lambda_1=0.25, augment=NO_COPY).loss)(params, batch, KEY)
    assert set(kept) == {"denoising_sound", "text_sound"}
    assert float(alone) == pytest.approx(0.25 * terms[0] + 0.75 * terms[2], rel=1e-4)


@pytest.fixture(scope="module")
def stepped(network, batch):
    """The state before and after a step in which the CIM alone trains."""
    model, params = network
    task = task_of(model)
    optimizer = OptimizerConfig(1e-3, schedule="constant", ema_decay=0.0, trainable=("cim/.*",))
    given = {name: batch[name] for name in task.keys}
    rate = make_optimizer(optimizer, learning_rate_schedule(optimizer, 2))
    before = create_state(params, rate, is_trainable(optimizer), None)
    after, metrics = jax.jit(steps.make_step(task, optimizer, 2, 0))(before, given)
    return before, after, metrics


def test_all_of_the_cim_learns_and_nothing_else(stepped):
    before, after, metrics = stepped
    old, new = (flatten_dict(state.params["params"], sep="/") for state in (before, after))
    assert {path.split("/")[0] for path in old} == {"cim"}
    unchanged = [path for path in old if (np.asarray(old[path]) == np.asarray(new[path])).all()]
    assert unchanged == [], "no gradient reaches it"
    old, new = (flatten_dict(state.frozen["params"], sep="/") for state in (before, after))
    assert {path.split("/")[0] for path in old} == {"unet", "imagebind", "no_text"}
    assert all((np.asarray(old[path]) == np.asarray(new[path])).all() for path in old)
    moments = jax.tree.leaves(after.opt_state)
    assert sum(x.size for x in moments) < 3 * sum(x.size for x in jax.tree.leaves(after.params)), (
        "moments of the CIM only"
    )
    assert float(metrics["grad_norm"]) > 0


def test_pictures_of_a_clip_have_timesteps_evenly_apart():
    found = spread_timesteps(np.array([3, 999]), 5, 1000)
    assert np.asarray(found).tolist() == [[3, 203, 403, 603, 803], [999, 199, 399, 599, 799]]


def test_what_does_not_fit_is_said(network, batch):
    model, params = network
    with pytest.raises(UserError, match="texts of 10 tokens: the network's have 12; give .*text_length=10"):
        jax.eval_shape(task_of(model).loss, params, batch | {"text": batch["text"][:, :10]}, KEY)
    with pytest.raises(UserError, match=r"loss.lambda_1 1.5: must be between 0 and 1"):
        CIMLossConfig(lambda_1=1.5)
    with pytest.raises(UserError, match="scaling_factor: not given"):
        cim_task(model, CIMLossConfig())
