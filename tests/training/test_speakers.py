"""A model of two speakers trains on shards that hold the features of both."""

import jax
import numpy as np
import pytest
from pipeline_folders import SMALL

from mtv_jax.data.pipeline import make_dataset
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.names import control_tracks
from mtv_jax.training import steps
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import train_config
from mtv_jax.weights.rules import flat_paths


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("speakers")

    def record(number):
        arrays = {name: rng.normal(size=(5, 2, 8)) for name in control_tracks(2)}
        arrays |= {"latents_mean": rng.normal(size=(2, 4, 4, 4)), "text": rng.normal(size=(24, 8))}
        arrays["latents_logvar"] = np.full((2, 4, 4, 4), -6.0)
        source = ClipSource("noise.mp4", "0" * 64, number, number + 1, (1, 12), "CC0")
        name = clip_id(source.sha256, number, number + 1, source.time_base)
        arrays = {key: value.astype(np.float16) for key, value in arrays.items()}
        return ClipRecord(name, "noise", (12, 1), 5, 32, 32, source, arrays)

    write_shards(folder, [record(i) for i in range(4)], kind="latents")
    control = SMALL["mtv"]["controlnet"] | {"num_speakers": 2}
    return train_config(
        {
            "task": "denoiser",
            "num_steps": 1,
            "model": {
                "name": "mtv",
                "variant": "tiny",
                "overrides": SMALL["mtv"] | {"controlnet": control},
            },
            "loss": {"scaling_factor": 1.0},
            "data": {"dir": str(folder), "batch_size": 2, "text_length": 24},
            "optimizer": {"learning_rate": 0.1, "schedule": "constant"},
        }
    )


def of(config):
    """The model, the task and the first batch of a config."""
    model, task = make_task(config)
    reading = config.data.pipeline(task.keys, 0)
    return model, task, next(iter(make_dataset(open_shards(config.data.dir), reading)))


def test_a_step_reads_and_trains_both_speakers(config):
    _, task, batch = of(config)
    assert {"speech", "speech2", "effects", "music"} < set(task.keys)
    shapes = jax.eval_shape(steps.make_init(task, config.optimizer, 1, 0, batch))
    step = steps.make_step(task, config.optimizer, 1, 0)
    after, _ = jax.eval_shape(step, shapes, batch)
    assert after == shapes
    silent = {name: value for name, value in batch.items() if name != "speech2"}
    with pytest.raises(KeyError, match="speech2"):
        jax.eval_shape(step, shapes, silent)
    assert "transformer/blocks/injection/attn_speech2/to_v/kernel" in flat_paths(after.params)


@pytest.mark.slow
def test_each_speaker_s_part_learns(config):
    _, task, batch = of(config)
    state = steps.make_init(task, config.optimizer, 1, 0, batch)()
    after, metrics = jax.jit(steps.make_step(task, config.optimizer, 1, 0))(state, batch)
    assert np.isfinite(float(metrics["loss"]))
    before, now = flat_paths(state.params), flat_paths(after.params)
    for name in ("speech", "speech2"):
        path = f"transformer/blocks/injection/attn_{name}/to_v/kernel"
        assert np.abs(now[path] - before[path]).max() > 0, path
    for speaker in range(2):
        path = f"controlnet/speaker_embedding_{speaker}"
        assert np.abs(now[path]).max() > 0, path
