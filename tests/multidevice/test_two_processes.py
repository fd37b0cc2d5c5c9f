"""Two processes of four devices train as one of eight does, on one checkpoint."""

import json
import signal
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from processes import finish_processes, start_processes

from mtv_jax.curation.encoders import Encoders
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import write_shards
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.video import read_video

CONFIG = (
    "--config=configs/tiny/denoiser.py",
    "--config.optimizer.schedule=constant",
    "--config.checkpoint.every=2",
    "--config.sample.every=0",
    "--config.loss.scaling_factor=1.0",
    "--config.data.batch_size=8",
    "--config.data.text_length=4",
    "--config.mesh.data=-1",
    "--config.mesh.fsdp=4",
    "--config.model.overrides={'dit': {'num_layers': 1, 'num_attention_heads': 2, 'attention_head_dim': 16, "
    "'max_text_seq_length': 4}, 'controlnet': {'interaction_blocks': 1}}",
)

SAMPLES = ("--config.sample.every=6", "--config.sample.num_inference_steps=2")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    rng = np.random.default_rng(0)

    def record(number: int) -> ClipRecord:
        arrays = {name: rng.normal(size=(5, 4, 64)) for name in ("speech", "effects", "music")}
        arrays |= {"latents_mean": rng.normal(size=(5, 4, 4, 8)), "text": rng.normal(size=(4, 64))}
        arrays["latents_logvar"] = np.full((5, 4, 4, 8), -6.0)
        source = ClipSource("noise.mp4", "0" * 64, number, number + 1, (1, 8))
        name = clip_id(source.sha256, source.start_pts, source.end_pts, source.time_base)
        arrays = {key: value.astype(np.float32) for key, value in arrays.items()}
        return ClipRecord(name, "noise", (8, 1), 5, 32, 32, source, arrays)

    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, [record(i) for i in range(24)], kind="latents")
    size = ClipSize(5, Fraction(8), 32, 32)
    Encoders.from_pretrained("tiny").save(folder / "encoders", size)
    return folder


def start(cache, processes: int, arguments: list[str], extra: dict[int, list[str]] | None = None):
    """Starts the train command on eight devices, shared by so many processes."""
    env = {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={8 // processes}",
        "XDG_CACHE_HOME": str(cache),
    }
    base = [sys.executable, "-m", "mtv_jax.train", *CONFIG, *arguments]
    return start_processes([[*base, *(extra or {}).get(index, [])] for index in range(processes)], env)


def run(cache, processes: int, arguments: list[str]) -> None:
    for code, _, errors in finish_processes(start(cache, processes, arguments)):
        assert code == 0, errors


def lines(workdir):
    path = workdir / "metrics.jsonl"
    return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_saved_by_two_restored_by_one_and_back_gives_the_losses_and_samples_of_one(shards, cache, tmp_path):
    arguments = [f"--config.data.dir={shards}", *SAMPLES]
    run(cache, 1, [*arguments, "--workdir", str(tmp_path / "one"), "--config.num_steps=6"])
    for processes, steps in ((2, 2), (1, 4), (2, 6)):
        run(cache, processes, [*arguments, "--workdir", str(tmp_path / "two"), f"--config.num_steps={steps}"])
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert [line["step"] for line in two] == list(range(1, 7))
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose([x[name] for x in two], [x[name] for x in one], rtol=1e-5)
    first, second = (
        read_video(tmp_path / run / "samples" / "step_000006_sample.mp4")[0].astype(int)
        for run in ("one", "two")
    )
    # Parameters agree to 2e-6, and so do frames but for roundings. Of those H.264 makes more: 20 values of 15,360
    # that differ by one level come back 18 levels apart at the worst, .9 in the mean.
    assert np.abs(first - second).mean() < min(2, first.std() / 10)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_one_process_stops_and_saves_all(shards, cache, tmp_path, number, code):
    arguments = [
        f"--config.data.dir={shards}",
        "--workdir",
        str(tmp_path / "run"),
        "--config.num_steps=100000",
    ]
    started = start(cache, 2, [*arguments, "--config.checkpoint.every=100000"])
    while len(lines(tmp_path / "run")) < 2:
        assert all(process.poll() is None for process in started), finish_processes(started)
        time.sleep(0.1)
    started[1].send_signal(number)
    results = finish_processes(started)
    assert [found for found, _, _ in results] == [code, code], results
    assert "saved step" in results[0][2]
    assert not (tmp_path / "run" / "lock.json").exists()
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1


def test_a_process_with_another_config_is_reported(shards, cache, tmp_path):
    arguments = [f"--config.data.dir={shards}", "--workdir", str(tmp_path / "run"), "--config.num_steps=2"]
    results = finish_processes(start(cache, 2, arguments, {1: ["--config.seed=3"]}))
    for code, _, errors in results:
        assert code == 2, errors
        assert "config: process 1 of 2 has another than process 0" in errors
