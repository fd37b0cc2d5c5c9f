"""Temporary memory estimated from shapes: what counts, and how near it comes to what was compiled."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh

from mtv_jax.io.config import load_config
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.plan import main
from mtv_jax.planning import estimates, plans, programs
from mtv_jax.planning.estimates import peak_bytes
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.sharding.mesh import AXES
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import train_config

PLANS = Path(__file__).resolve().parents[2] / "launch" / "plans"
X = jax.ShapeDtypeStruct((10, 10), jnp.float32)
ONE = 400
"""Bytes of X."""


def twice(x):
    return (x @ x) @ x


def in_place(x):
    return jnp.sin(jnp.exp(x) + x)


def kept(x):
    y = jnp.exp(x)
    return jnp.sin(y) * y


def stacked(x):
    return jax.lax.scan(lambda carry, _: (carry @ carry, carry), x, None, length=5)


def repeated(x):
    return jnp.broadcast_to(x[0], x.shape) + x


def recomputed(x):
    body = jax.checkpoint(lambda x: jnp.sin(jnp.sin(jnp.sin(x @ x))))
    return body(body(x))


@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        (twice, 2),  # a product cannot take the place of what it reads
        (in_place, 1),
        (kept, 2),
        (stacked, 7),  # five carries, the last one, and the one of the step under way
        (repeated, 1),  # what is only repeated is not written out
    ],
)
def test_bytes_alive_at_once(function, arrays):
    assert peak_bytes(jax.make_jaxpr(function)(X).jaxpr) == pytest.approx(arrays * ONE)


def test_what_is_computed_again_is_not_kept():
    def peak(function):
        return peak_bytes(jax.make_jaxpr(jax.grad(lambda x: function(x).sum()))(X).jaxpr)

    def plain(x):
        body = lambda x: jnp.sin(jnp.sin(jnp.sin(x @ x)))  # noqa: E731
        return body(body(x))

    assert peak(recomputed) < peak(plain)


@pytest.fixture(scope="module")
def full_size():
    """Model and task of a stage."""
    config = train_config(load_config("configs/stage3.py", {"data.dir": "none"}).to_dict())
    return config, *make_task(config)


@pytest.fixture
def bytes_a_row(monkeypatch):
    """They are the same on every mesh, so that the step is traced once."""
    found = []

    def once(trace):
        if not found:
            found.append(measured(trace))
        return found[0]

    measured = estimates._bytes_a_row
    monkeypatch.setattr(estimates, "_bytes_a_row", once)


def test_train_steps_that_were_compiled_are_met_within_a_fifth(full_size, bytes_a_row):
    config, model, task = full_size
    batch = plans.training_batch(model, plans.latent_size(model), 128)
    for name in ("train_v5p_128", "train_tpu7x_64", "train_v6e_256"):
        report = json.loads((PLANS / f"{name}.json").read_text())[0]
        mesh = AbstractMesh(tuple(report["mesh"].values()), AXES)
        training = programs.Training.of(task, config.optimizer, batch, mesh)
        memory = programs.train_step(training, accumulate=1, dtype=model.dtype).memory
        compiled = report["memory_bytes_per_device"]
        for kind in ("parameters that train", "frozen parameters", "optimiser state", "average", "batch"):
            assert memory[kind] == compiled[kind]  # the reports stand as the weights lie now
        assert memory["temporary"] == pytest.approx(compiled["temporary"], rel=0.2)


@pytest.mark.parametrize("name", ["sample_v5p_4", "sample_v6e_8"])
def test_decoders_that_were_compiled_are_met_within_a_fifth(name):
    report = json.loads((PLANS / f"{name}.json").read_text())[1]
    compiled = report["memory_bytes_per_device"]
    vae = make_model("vae3d", make_config("vae3d", "cogvideox_5b"), dtype=jnp.bfloat16)
    mesh = AbstractMesh(tuple(report["mesh"].values()), AXES)
    memory = programs.decode_chunk(vae, LatentSize(13, 60, 90), mesh, dtype=jnp.bfloat16).memory
    assert memory["temporary"] == pytest.approx(compiled["temporary"] + compiled["outputs"], rel=0.2)


def test_the_report_of_24_gpus_is_what_the_command_in_the_readme_writes(tmp_path):
    path = tmp_path / "plan.json"
    command = ["--topology=a100-80gb:24", "--config.data.batch_size=120", "--config.accumulate=5"]
    assert main(["--config=configs/stage3.py", *command, f"--report={path}"]) == 0
    found, written = (json.loads(x.read_text()) for x in (path, PLANS / "train_a100_24.json"))
    assert [plan["program"] for plan in found] == [plan["program"] for plan in written]
    for ours, theirs in zip(found, written, strict=True):
        memory, expected = ours["memory_bytes_per_device"], theirs["memory_bytes_per_device"]
        # Versions of JAX differ by some equations.
        assert memory.pop("temporary") == pytest.approx(expected.pop("temporary"), rel=0.05)
        assert memory == expected
        assert ours["fits"] is True
        assert ours["least_seconds"] == theirs["least_seconds"]
