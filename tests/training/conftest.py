"""A model that compiles in no time: a linear map that learns to halve."""

from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.training.configs import train_config
from mtv_jax.training.loop import Job, fit
from mtv_jax.training.tasks import Task

BATCH = 8


def toy_task(nan_at: int | None = None) -> Task:
    """Noise in the loss shows whether keys are the same on resume; `nan_at` is a step (from 1)."""

    def init(key, batch):
        width = batch["x"].shape[-1]
        return {
            "params": {
                "body": {"kernel": 0.1 * jax.random.normal(key, (width, width)), "bias": jnp.zeros(width)},
                "head": {"kernel": jnp.eye(width)},
            }
        }

    def loss(params, batch, key):
        p = params["params"]
        x = batch["x"] + 0.01 * jax.random.normal(key, batch["x"].shape)
        y = (x @ p["body"]["kernel"] + p["body"]["bias"]) @ p["head"]["kernel"]
        value = jnp.mean((y - 0.5 * batch["x"]) ** 2)
        return jnp.where(jnp.any(batch["index"] == nan_at), jnp.nan, value) if nan_at else value, {}

    return Task(init, loss, ("x",))


TOY_BATCH = {
    "x": jax.ShapeDtypeStruct((BATCH, 8), jnp.float32),
    "index": jax.ShapeDtypeStruct((BATCH,), jnp.int32),
}


def toy_batches(first: int) -> grain.IterDataset:
    """Record `i` is a function of i; batch k of an unshuffled reading holds step k + 1 as `index`."""

    def record(i):
        x = np.random.default_rng(int(i)).normal(size=8).astype(np.float32)
        return {"x": x, "index": np.int32(int(i) // BATCH + 1)}

    return grain.MapDataset.range(first * BATCH, 10_000).map(record).to_iter_dataset().batch(BATCH)


@pytest.fixture
def make_job(tmp_path):
    """Makes toy jobs: `make_job(num_steps=..., optimizer={...}, ...)`."""
    return job_maker(tmp_path)


def job_maker(tmp_path: Path):
    """What `make_job` is in a folder."""

    def make(*, nan_at=None, sample_fn=None, workdir: Path = tmp_path / "run", skip=(), **changes) -> Job:
        values = {
            "task": "denoiser",
            "num_steps": 12,
            "model": {"name": "toy", "variant": "toy"},
            "data": {"dir": "toy", "batch_size": BATCH},
            "optimizer": {"learning_rate": 0.01, "schedule": "constant", "clip_norm": 1.0},
            "checkpoint": {"every": 4, "keep": 2},
            "sample": {"every": 0},
        }
        for key, value in changes.items():
            values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
        config, task = train_config(values), toy_task(nan_at)
        return Job(config, task, TOY_BATCH, toy_batches, workdir, values, sample_fn, skip=skip)

    return make


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The directory of a toy run with checkpoints of steps 4 and 8. Copy it; do not change it."""
    folder = tmp_path_factory.mktemp("trained")
    fit(job_maker(folder)(num_steps=8))
    return folder / "run"
