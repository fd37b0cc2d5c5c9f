"""Does it fit: what is free, what is needed, and that what runs is never refused."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.models.vae3d import streaming
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.planning import memory, plans, programs
from mtv_jax.planning.memory import Need, Room, Sample, refuse, sample_bounds, sample_need
from mtv_jax.planning.room import device_room, host_free
from mtv_jax.planning.training_memory import training_need
from mtv_jax.sharding.mesh import make_mesh
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import load_train_config, train_config
from mtv_jax.weights.tensor_files import read_tensors

GIB = 2**30
TINY = pipeline_folder("tiny")
PARTS = ("transformer", "controlnet", "vae", "text_encoder")


@pytest.fixture
def machine(tmp_path):
    """Makes a root with /proc and control groups: `machine(available, version, limit, used, files)`."""

    def make(available, version=2, limit="max", used=0, files=0):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {available // 1024} kB\n")
        line = "0::/job/step\n" if version == 2 else "5:cpu:/x\n4:memory,hugetlb:/job/step\n"
        (tmp_path / "proc/self/cgroup").write_text(line)
        group = tmp_path / "sys/fs/cgroup" / ("" if version == 2 else "memory") / "job"
        (group / "step").mkdir(parents=True)
        names = ("memory.max", "memory.current")
        names = names if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        for name, value in zip(names, (limit, used), strict=True):
            (group / name).write_text(f"{value}\n")
        (group / "memory.stat").write_text(f"anon 5\ninactive_file {files}\nactive_file 0\n")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("arguments", "free"),
    [
        ((8 * GIB,), 8 * GIB),
        ((8 * GIB, 2, 3 * GIB, 2 * GIB), GIB),
        # Pages of files are given back when they are needed.
        ((8 * GIB, 2, 3 * GIB, 2 * GIB, GIB), 2 * GIB),
        ((8 * GIB, 2, GIB, 2 * GIB), 0),
        ((8 * GIB, 1, 3 * GIB, 2 * GIB), GIB),
        ((8 * GIB, 1, 2**63 - 4096, 2 * GIB), 8 * GIB),
    ],
)
def test_what_is_free_is_the_least_of_machine_and_control_groups(machine, arguments, free):
    assert host_free(machine(*arguments)) == free


def test_devices_of_a_cpu_share_its_memory(monkeypatch):
    monkeypatch.setattr("mtv_jax.planning.room.host_free", lambda: 8 * GIB)
    assert device_room() == Room("cpu", 8 * GIB)
    assert device_room(devices=8) == Room("cpu", GIB)


def test_of_an_accelerator_free_is_what_jax_may_still_allocate():
    class Device:
        platform, device_kind = "gpu", "NVIDIA H100"

        def memory_stats(self):
            return {"bytes_limit": 60 * GIB, "bytes_in_use": 20 * GIB}

    assert device_room(Device()) == Room("NVIDIA H100", 40 * GIB)


def test_too_much_is_one_line_that_says_what_helps(monkeypatch):
    need = Need(
        "a video", {"weights": 30 * GIB, "activations": 11 * GIB}, GIB, ("make it smaller", "give --x")
    )
    with pytest.raises(UserError) as error:
        refuse(need, Room("NVIDIA H100", 40 * GIB))
    assert str(error.value).startswith(
        "a video needs about 41 GiB of memory, NVIDIA H100 has 40 GiB free: make it smaller, or give --x; --force"
    )
    refuse(need, Room("NVIDIA H100", 42 * GIB))
    # On a CPU the machine's memory is the device's.
    with pytest.raises(UserError, match="needs about 42 GiB"):
        refuse(need, Room("cpu", 41 * GIB))
    monkeypatch.setattr(memory, "host_free", lambda: GIB // 2)
    with pytest.raises(UserError, match="needs about 1 GiB of memory, the machine has 0.5"):
        refuse(need, Room("NVIDIA H100", 42 * GIB))


def test_weights_are_exact_and_what_is_known_from_sizes_alone_holds():
    sample = Sample.of("tiny", {})
    need, bounds = sample_need(sample, advise=False), sample_bounds(sample)
    stored = [read_tensors(TINY / part).values() for part in PARTS]
    assert need.device["weights"] == 4 * sum(math.prod(x.shape) for part in stored for x in part)
    assert bounds is not None
    assert bounds[0] < need.total + need.host < bounds[1]


def test_only_what_helps_is_advised(monkeypatch):
    def needed(sample, *, advise):
        assert not advise
        return Need("", {"all": 5 * GIB if sample.tiled else 10 * GIB})

    monkeypatch.setattr(memory, "sample_need", needed)
    _, *flags = memory._advice(Sample.of("tiny", {}), 10 * GIB)
    assert flags == ["give --vae-tiling (5 GiB)"]


def test_what_cannot_be_read_is_left_to_who_loads_it(tmp_path):
    assert sample_bounds(Sample(tmp_path, Sample.of("tiny", {}).size)) is None


def test_a_rate_that_is_none_is_left_to_who_checks_it():
    assert sample_bounds(Sample.of("tiny", {"fps": Fraction(1, 10**9)})) is not None


@pytest.mark.slow
def test_activations_are_near_what_the_compiler_plans():
    def planned(function, *arguments):
        reported = jax.jit(function).lower(*arguments).compile().memory_analysis()
        return reported.temp_size_in_bytes + reported.output_size_in_bytes

    sample = Sample.of("tiny", {"height": 256, "width": 256, "num_frames": 49})
    vae = memory.build_model(TINY / "vae")
    latents = sample.latents(vae.config)  # pyright: ignore[reportAttributeAccessIssue]
    model = memory.build_model(TINY)
    shapes = memory.parameter_shapes(vae)
    chunk = jax.ShapeDtypeStruct((1, 3, 32, 32, 8), jnp.float32)
    decoded = planned(lambda p, x: streaming.decode_chunk(vae, p, x, None, True), shapes, chunk)
    assert memory._decode_activations(vae, latents, False) == pytest.approx(decoded, rel=0.3)
    step = planned(model.apply, memory.parameter_shapes(model), *memory.denoiser_inputs(model, (49, 32, 32)))
    assert memory._denoise_activations(model, latents, 1) == pytest.approx(step, rel=0.3)


@pytest.mark.slow
def test_a_train_step_takes_what_the_compiler_plans():
    values = load_train_config("configs/tiny/denoiser.py").to_dict()
    values["data"]["dir"] = "none"
    config = plans.with_scale(train_config(values))
    model, task = make_task(config)
    batch = plans.training_batch(model, memory.LatentSize(25, 8, 8), config.data.batch_size)
    training = programs.Training.of(task, config.optimizer, batch, make_mesh(config.mesh))
    given = (training.state, training.batch, training.mesh, model.dtype)
    need = training_need(config, task, *given)
    planned = programs.train_step(training, accumulate=config.accumulate, dtype=model.dtype)
    assert need.total == pytest.approx(planned.peak, rel=0.15)
    assert any("batch_size (it is 4)" in advice for advice in need.advice)
