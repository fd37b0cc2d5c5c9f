"""The train step against a plain reference: every number of two steps worked out by hand, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage]

from mtv_jax.planning.plans import latent_size, training_batch, with_scale
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import load_train_config, train_config
from mtv_jax.training.optim import OptimizerConfig
from mtv_jax.training.steps import make_init, make_step
from mtv_jax.training.tasks import Task

ROWS, STEPS = 8, 3
CONFIG = OptimizerConfig(
    learning_rate=0.1,
    schedule="linear",
    warmup_steps=2,
    b1=0.8,
    b2=0.9,
    eps=1e-3,
    weight_decay=0.3,
    clip_norm=0.5,
    ema_decay=0.7,
    trainable=("body/.*",),
)
RATES = (0.05, 0.1, 0.1 * 8 / 8, 0.1 * 7 / 8)
"""Of the first steps of ten: warm-up over two, then down to nothing."""


def init(_key, _batch):
    rng = np.random.default_rng(1)
    body = {"kernel": jnp.asarray(rng.normal(size=(3, 2)), jnp.float32), "bias": jnp.ones(2)}
    return {"params": {"body": body, "head": {"kernel": jnp.asarray([2.0, -1.0])}}}


def predict(body, x):
    return (x @ body["kernel"] + body["bias"]) * np.array([2.0, -1.0])


def loss(params, batch, key):
    p = params["params"]
    y = (batch["x"] @ p["body"]["kernel"] + p["body"]["bias"]) * p["head"]["kernel"]
    return jnp.mean((y - batch["target"] - batch["shift"]) ** 2), {"key": halves(key)}


def halves(key):
    """A key as numbers that float32 holds exactly."""
    data = jax.random.key_data(key)
    return jnp.concatenate([data >> 16, data & 0xFFFF]).astype(jnp.float32)


def draw(key, rows):
    return {"shift": jnp.zeros((rows, 1)), "drawn_by": jnp.broadcast_to(halves(key), (rows, 4))}


TASK = Task(init, loss, ("x", "target"), draw)


def batch(number):
    rng = np.random.default_rng(10 + number)
    return {name: rng.normal(size=(ROWS, n)).astype(np.float32) for name, n in (("x", 3), ("target", 2))}


def gradient(body, given):
    error = 2 * (predict(body, given["x"]) - given["target"]) / (ROWS * 2) * np.array([2.0, -1.0])
    return {"kernel": given["x"].T.astype(np.float64) @ error, "bias": error.sum(0)}


def reference(config):
    """Parameters, averages and gradient norms after each step: clip, Adam, decay of kernels, average."""
    first = init(None, None)["params"]["body"]
    body = {name: np.asarray(x, np.float64) for name, x in first.items()}
    average, m, v = dict(body), dict.fromkeys(body, 0.0), dict.fromkeys(body, 0.0)
    for step in range(STEPS):
        grads = gradient(body, batch(step))
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        clip = min(1.0, config.clip_norm / norm) if config.clip_norm else 1.0
        for name, g in grads.items():
            m[name] = config.b1 * m[name] + (1 - config.b1) * clip * g
            v[name] = config.b2 * v[name] + (1 - config.b2) * (clip * g) ** 2
            m_hat, v_hat = m[name] / (1 - config.b1 ** (step + 1)), v[name] / (1 - config.b2 ** (step + 1))
            update = m_hat / (np.sqrt(v_hat) + config.eps)
            if name == "kernel":
                update = update + config.weight_decay * body[name]
            body[name] = body[name] - RATES[step] * update
            average[name] = config.ema_decay * average[name] + (1 - config.ema_decay) * body[name]
        yield dict(body), dict(average), norm


def steps(config, accumulate=1, seed=0):
    """States and metrics after each step."""
    state = make_init(TASK, config, 10, seed, batch(0))()
    step = jax.jit(make_step(TASK, config, 10, seed, accumulate=accumulate))
    for number in range(STEPS):
        state, metrics = step(state, batch(number))
        yield state, metrics


@pytest.mark.parametrize("accumulate", [1, 2])
def test_rates_moments_clipping_decay_and_average_are_those_worked_out_by_hand(accumulate):
    for number, ((state, metrics), (body, average, norm)) in enumerate(
        zip(steps(CONFIG, accumulate), reference(CONFIG), strict=True)
    ):
        assert norm > CONFIG.clip_norm  # or clipping would not be seen
        for name, wanted in body.items():
            np.testing.assert_allclose(state.params["params"]["body"][name], wanted, rtol=2e-5, atol=1e-6)
            np.testing.assert_allclose(state.ema["params"]["body"][name], average[name], rtol=2e-5, atol=1e-6)
        assert float(metrics["learning_rate"]) == pytest.approx(RATES[number])
        assert float(metrics["grad_norm"]) == pytest.approx(norm, rel=1e-5)
        assert int(state.step) == number + 1


def test_what_is_frozen_stays_and_has_neither_moments_nor_average():
    *_, (state, _) = steps(CONFIG)
    np.testing.assert_array_equal(state.frozen["params"]["head"]["kernel"], [2.0, -1.0])
    assert set(state.params["params"]) == set(state.ema["params"]) == {"body"}
    # Two moments of the kernel and of the bias.
    moments = [x.shape for x in jax.tree.leaves(state.opt_state) if x.ndim]
    assert sorted(moments) == [(2,), (2,), (3, 2), (3, 2)]


def test_without_clipping_or_average_there_is_none():
    config = OptimizerConfig(
        **{**vars(CONFIG), "clip_norm": 0.0, "ema_decay": 0.0, "trainable": CONFIG.trainable}
    )
    for (state, _), (body, *_) in zip(steps(config), reference(config), strict=True):
        assert state.ema is None
        np.testing.assert_allclose(
            state.params["params"]["body"]["kernel"], body["kernel"], rtol=2e-5, atol=1e-6
        )


def test_each_step_and_seed_has_a_key_of_its_own_that_depends_on_nothing_else():
    keys = {seed: [tuple(np.asarray(m["key"])) for _, m in steps(CONFIG, seed=seed)] for seed in (0, 1)}
    again = [tuple(np.asarray(m["key"])) for _, m in steps(CONFIG, seed=0)]
    assert again == keys[0]
    assert len({*keys[0], *keys[1]}) == 2 * STEPS


def test_what_is_drawn_over_the_batch_has_another_key_than_the_loss():
    seen = {}

    def spying(params, given, key):
        value, metrics = loss(params, given, key)
        return value, metrics | {"drawn_by": given["drawn_by"][0]}

    task = Task(init, spying, TASK.keys, draw)
    state = make_init(task, CONFIG, 10, 0, batch(0))()
    for parts in (1, 2):
        _, metrics = jax.jit(make_step(task, CONFIG, 10, 0, accumulate=parts))(state, batch(0))
        seen[parts] = tuple(np.asarray(metrics["drawn_by"]))
        assert not np.array_equal(metrics["drawn_by"], metrics["key"])
    # The same draw, however many parts the batch goes through in.
    assert seen[1] == seen[2]


def test_parts_of_a_batch_have_keys_of_their_own():
    def noisy(params, given, key):
        return loss(params, given, key)[0], {"noise": jax.random.normal(key, (1000,))}

    task = Task(init, noisy, TASK.keys, draw)
    state = make_init(task, CONFIG, 10, 0, batch(0))()
    _, metrics = jax.jit(make_step(task, CONFIG, 10, 0, accumulate=4))(state, batch(0))
    # The mean of four draws: half as far from 0 as one; the same draw four times would be as far.
    assert float(jnp.std(metrics["noise"])) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "name", ["tiny/mixed.py", "tiny/vae.py", "maestro/image.py:tiny", "maestro/cim.py:tiny"]
)
def test_no_step_closes_over_an_array_on_a_device(name):
    # A GPU or TPU would copy it to the host to compile the step, which the loop's transfer guard forbids.
    values = load_train_config(f"configs/{name}").to_dict()
    config = train_config(values | {"data": values["data"] | {"dir": "none"}})
    if "vae" in name:
        model, task = make_task(config)
        data = {"video": jax.ShapeDtypeStruct((2, 5, 16, 16, 3), jnp.float32)}
    else:
        model, task = make_task(with_scale(config))
        data = training_batch(model, latent_size(model), 2)
    state = jax.eval_shape(make_init(task, config.optimizer, 10, 0, data))
    traced = jax.make_jaxpr(make_step(task, config.optimizer, 10, 0))(state, data)
    assert not [x.shape for x in constants(traced) if isinstance(x, jax.Array)]


def constants(traced: ClosedJaxpr):
    """Arrays that a traced function and those it calls close over."""
    yield from traced.consts
    for equation in traced.jaxpr.eqns:
        for value in jax.tree.leaves(equation.params, is_leaf=lambda x: isinstance(x, ClosedJaxpr)):
            if isinstance(value, ClosedJaxpr):
                yield from constants(value)


def test_arrays_that_a_called_function_closes_over_are_found():
    inner = jnp.arange(3.0)
    traced = jax.make_jaxpr(
        lambda x: jax.lax.cond(x.sum() > 0, jax.jit(lambda y: y * inner), lambda y: y, x)
    )(inner)
    assert any(isinstance(x, jax.Array) for x in constants(traced))
