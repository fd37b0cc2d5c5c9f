"""The loop: what it leaves behind, how it resumes, how it stops."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json
from mtv_jax.training import steps
from mtv_jax.training.checkpoint import load_trained
from mtv_jax.training.loop import NonFiniteError, fit
from mtv_jax.training.metrics import Throughput, read_metrics
from mtv_jax.training.optim import OptimizerConfig
from mtv_jax.training.skipping import parse_range
from mtv_jax.training.stop import StoppedError
from mtv_jax.training.tasks import Task


def losses(job):
    return [line["loss"] for line in read_metrics(job.workdir)]


def test_a_run_learns_and_leaves_one_line_a_step(make_job, capsys):
    job = make_job(num_steps=60)
    state = fit(job)
    lines = read_metrics(job.workdir)
    assert [line["step"] for line in lines] == list(range(1, 61))
    assert {"loss", "grad_norm", "learning_rate", "step_time", "data_wait"} <= lines[0].keys()
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert int(state.step) == 60
    assert re.search(r"step 60/60 loss \S+ \S+ s/step eta 0:00", capsys.readouterr().err)


def test_speed_is_logged_from_the_second_step_on(make_job):
    job = dataclasses.replace(make_job(num_steps=3), throughput=Throughput(100, 5e6, 1e9))
    fit(job)
    first, *later = read_metrics(job.workdir)
    assert "mfu" not in first  # its time holds the compilation
    for line in later:
        assert line["tokens_per_second"] == pytest.approx(100 / line["step_time"])
        assert line["mfu"] == pytest.approx(5e6 / line["step_time"] / 1e9)
    assert "mfu" not in Throughput(100, 5e6, None).of(1.0)


def test_the_last_checkpoints_are_kept_and_hold_the_average(make_job):
    job = make_job(num_steps=12, optimizer={"ema_decay": 0.5})
    state = fit(job)
    assert sorted(path.name for path in (job.workdir / "checkpoints").iterdir()) == ["12", "8"]
    average, run = load_trained(job.workdir)
    raw, _ = load_trained(job.workdir, average=False)
    assert run["step"] == 12
    assert run["config"]["model"]["name"] == "toy"
    for tree, want in ((average, state.all_params(average=True)), (raw, state.all_params())):
        jax.tree.map(np.testing.assert_array_equal, tree, want)
    assert not np.array_equal(average["params"]["body"]["kernel"], raw["params"]["body"]["kernel"])


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        (
            "x",
            (8, 9),
            r"x of a batch is float32 \[8, 8\], not float32 \[8, 9\] as the manifest of the shards says",
        ),
        ("y", (8,), "y of a batch is not there, not float32"),
    ],
)
def test_a_batch_of_other_arrays_than_the_manifest_says_is_one_line(make_job, key, shape, message):
    job = make_job(num_steps=1)
    job = dataclasses.replace(job, batch=job.batch | {key: jax.ShapeDtypeStruct(shape, jnp.float32)})
    with pytest.raises(UserError, match=message):
        fit(job)


def test_a_run_that_goes_on_repeats_one_that_never_stopped(make_job, tmp_path):
    whole = make_job(num_steps=12, workdir=tmp_path / "whole")
    fit(whole)
    fit(make_job(num_steps=8))
    resumed = make_job(num_steps=12)
    fit(resumed)
    assert losses(resumed) == losses(whole)


def test_lines_beyond_the_checkpoint_are_dropped_even_if_cut_short(make_job):
    job = make_job(num_steps=4)
    fit(job)
    with open(job.workdir / "metrics.jsonl", "a") as file:
        file.write('{"step": 5, "loss": 1.0}\n{"step": 6, "lo')
    fit(make_job(num_steps=8))
    assert [line["step"] for line in read_metrics(job.workdir)] == list(range(1, 9))


def test_a_finished_run_is_left_as_it_is(make_job, capsys):
    fit(make_job(num_steps=4))
    capsys.readouterr()
    state = fit(make_job(num_steps=4))
    assert int(state.step) == 4
    assert "nothing to do" in capsys.readouterr().err


def test_a_checkpoint_of_another_config_is_refused_by_name(make_job):
    fit(make_job(num_steps=4))
    with pytest.raises(UserError, match=r"optimizer\.learning_rate \(was 0\.01, is 0\.02\)"):
        fit(make_job(num_steps=8, optimizer={"learning_rate": 0.02}))
    fit(make_job(num_steps=8, checkpoint={"every": 2}, mesh={"data": 1}))


def test_a_loss_that_is_not_finite_stops_and_nothing_of_it_is_saved(make_job):
    job = make_job(num_steps=12, nan_at=8)
    reported = (
        r"step 8: loss is nan, in batch 7; .*good checkpoint is .*/checkpoints/4; .*--skip-batches 7:8$"
    )
    with pytest.raises(NonFiniteError, match=reported):
        fit(job)
    assert [path.name for path in (job.workdir / "checkpoints").iterdir()] == ["4"]
    assert [line["step"] for line in read_metrics(job.workdir)] == list(range(1, 8))
    _, run = load_trained(job.workdir)
    assert run["step"] == 4


def test_a_run_goes_on_without_the_batch_that_stopped_it_as_if_it_had_never_had_it(
    make_job, tmp_path, capsys
):
    optimizer = {"ema_decay": 0.5}
    whole = make_job(nan_at=8, skip=((7, 8),), workdir=tmp_path / "whole", optimizer=optimizer)
    want = fit(whole)
    with pytest.raises(NonFiniteError):
        fit(make_job(nan_at=8, optimizer=optimizer))
    job = make_job(nan_at=8, skip=((7, 8),), optimizer=optimizer)
    state = fit(job)
    assert "skips the batches 7:8 (" in capsys.readouterr().err
    assert losses(job) == losses(whole)
    jax.tree.map(np.testing.assert_array_equal, state, want)  # the optimiser's moments are part of it
    assert read_json(job.workdir / "skipped_batches.json") == {"skipped_batches": [[7, 8]]}
    assert load_trained(job.workdir)[1]["skipped_batches"] == [[7, 8]]


def test_skipped_batches_stay_so_without_the_flag_and_add_up(make_job, tmp_path):
    whole = make_job(num_steps=12, skip=((1, 3), (6, 7), (8, 9)), workdir=tmp_path / "whole")
    fit(whole)
    fit(make_job(num_steps=4, skip=((1, 3),)))
    fit(make_job(num_steps=4, skip=((6, 7),)))  # nothing to do, but it is on record
    fit(make_job(num_steps=8, skip=((8, 9), (1, 3))))
    (tmp_path / "run" / "skipped_batches.json").unlink()  # the checkpoint knows of them too
    resumed = make_job(num_steps=12)
    fit(resumed)
    assert losses(resumed) == losses(whole)
    assert read_json(resumed.workdir / "skipped_batches.json") == {
        "skipped_batches": [[1, 3], [6, 7], [8, 9]]
    }


def test_the_step_takes_data_and_noise_of_the_number_of_its_batch(make_job, tmp_path):
    """Steps that learn nothing: their losses are those of the batches, one by one."""
    still = {"learning_rate": 0.0}
    all_batches = make_job(num_steps=12, optimizer=still, workdir=tmp_path / "all")
    fit(all_batches)
    some = make_job(num_steps=8, optimizer=still, skip=((2, 5), (7, 8)))
    fit(some)
    kept = [loss for number, loss in enumerate(losses(all_batches)) if number not in (2, 3, 4, 7)]
    assert losses(some) == kept


def test_a_batch_that_was_trained_on_cannot_be_skipped_any_more(make_job):
    fit(make_job(num_steps=8, skip=((2, 4),)))
    with pytest.raises(UserError, match="batches 9:12 .* step 8 was saved, and batch 10 comes next"):
        fit(make_job(num_steps=12, skip=((9, 12),)))
    with pytest.raises(UserError, match="batches 1:2 "):
        fit(make_job(num_steps=12, skip=((1, 2),)))
    fit(make_job(num_steps=12, skip=((2, 4), (10, 12))))


@pytest.mark.parametrize("text", ["7", "7:7", "8:7", "-1:3", "a:b", "1:2:3", "1.5:3", "", "3:99999999999"])
def test_an_invalid_range_is_reported(text):
    with pytest.raises(UserError, match=re.escape(f"--skip-batches {text}: must be A:B")):
        parse_range(text)


@pytest.mark.parametrize("text", ["{}", "[]", '{"skipped_batches": 3}', '{"skipped_batches": [[1]]}'])
def test_a_damaged_record_of_skipped_batches_is_named(make_job, text):
    job = make_job(num_steps=1)
    job.workdir.mkdir()
    (job.workdir / "skipped_batches.json").write_text(text)
    with pytest.raises(UserError, match=r"skipped_batches.json: damaged; write"):
        fit(job)


def signalling(number):
    """A sample function that sends a signal to this process."""

    def sample(step, params):
        os.kill(os.getpid(), number)
        return np.zeros((5, 16, 16, 3), np.uint8), 8.0

    return sample


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_where_it_is_and_the_run_goes_on_from_there(make_job, tmp_path, number, code):
    whole = make_job(num_steps=12, workdir=tmp_path / "whole")
    fit(whole)
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match="saved step 7; run the same command") as stopped:
        fit(make_job(num_steps=12, sample_fn=signalling(number), sample={"every": 6}))
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before
    resumed = make_job(num_steps=12)
    fit(resumed)
    assert losses(resumed) == losses(whole)


def test_a_second_ctrl_c_ends_the_process_at_once():
    """Even where Python's own handlers wait, in one long call of C, as a compilation is."""
    script = """
        import hashlib, os, signal, threading, time
        from mtv_jax.training.stop import Stop
        def press():
            for _ in range(2):
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGINT)
        with Stop():
            threading.Thread(target=press, daemon=True).start()
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 130
    first, second = done.stderr.splitlines()
    assert "Ctrl-C again aborts at once" in first
    assert second == "aborted"


def test_samples_are_videos_and_an_animated_tensorboard_image(make_job):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = []

    def sample(step, params):
        seen.append((step, params["params"]["head"]["kernel"].shape))
        return np.full((5, 16, 32, 3), 60 * step, np.uint8), 8.0

    job = make_job(num_steps=4, sample_fn=sample, sample={"every": 2})
    fit(job)
    assert seen == [(2, (8, 8)), (4, (8, 8))]
    names = sorted(path.name for path in (job.workdir / "samples").iterdir())
    assert names == [f"step_00000{n}_sample.{kind}" for n in (2, 4) for kind in ("gif", "mp4")]
    events = EventAccumulator(str(job.workdir / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert events.Images("samples/sample")[0].encoded_image_string.startswith(b"GIF8")


def test_frozen_parameters_have_no_moments_and_do_not_move(make_job):
    job = make_job(num_steps=4, optimizer={"trainable": ("body/.*",)})
    state = fit(job)
    assert list(state.params["params"]) == list(state.ema["params"]) == ["body"]
    np.testing.assert_array_equal(state.frozen["params"]["head"]["kernel"], np.eye(8))
    moments = [x.size for x in jax.tree.leaves(state.opt_state) if x.ndim]
    assert sum(moments) == 2 * (8 * 8 + 8)
    fit(make_job(num_steps=8, optimizer={"trainable": ("body/.*",)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mesh": {"data": 3}}, "needs 3 device"),
        ({"mesh": {"data": -1, "fsdp": -1}}, "only one may be -1"),
        ({"optimizer": {"trainable": ("blocks/.*",)}}, "matches no parameter"),
        ({"optimizer": {"trainable": ("(",)}}, "not a regular expression"),
        ({"optimizer": {"trainable": ()}}, "nothing would train"),
        ({"optimizer": {"schedule": "cosine"}}, "must be 'linear' or 'constant'"),
        ({"num_steps": 0}, "at least 1"),
        ({"optimizer": {"rate": 1}}, "unknown key"),
    ],
)
def test_an_invalid_config_is_reported_in_one_line(make_job, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        fit(make_job(**changes))
    assert "\n" not in str(caught.value)


def test_a_batch_in_parts_gives_the_gradient_of_the_whole():
    params = {"params": {"w": jnp.arange(3.0)}}
    batch = {"x": jax.random.normal(jax.random.key(0), (8, 3))}

    def loss(params, batch, _key):
        value = jnp.mean((batch["x"] @ params["params"]["w"] - 1) ** 2)
        return value, {"double": 2 * value}

    task = Task(lambda key, batch: params, loss)
    config = OptimizerConfig(learning_rate=0.1, schedule="constant", ema_decay=0)
    state = steps.make_init(task, config, 5, 0, batch)()
    whole = jax.jit(steps.make_step(task, config, 5, 0))(state, batch)
    parts = jax.jit(steps.make_step(task, config, 5, 0, accumulate=4))(state, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), parts, whole)


def test_what_is_drawn_over_the_whole_batch_is_not_drawn_again_by_its_parts():
    params = {"params": {"w": jnp.ones(())}}

    def loss(params, batch, _key):
        return params["params"]["w"] * jnp.mean(batch["drawn"]), {}

    def draw(_key, rows):
        return {"drawn": jnp.arange(rows, dtype=jnp.float32)}

    task = Task(lambda key, batch: params, loss, draw=draw)
    config, batch = OptimizerConfig(ema_decay=0), {"x": jnp.zeros((8, 3))}
    state = steps.make_init(task, config, 5, 0, batch)()
    _, metrics = jax.jit(steps.make_step(task, config, 5, 0, accumulate=4))(state, batch)
    assert float(metrics["loss"]) == pytest.approx(3.5)  # of 0 to 7; parts of their own would have 0 and 1


def test_averages_and_moments_in_bfloat16_are_saved_and_resumed(make_job, tmp_path):
    low = {"ema_decay": 0.5, "ema_dtype": "bfloat16", "moment_dtype": "bfloat16"}
    whole = make_job(num_steps=8, optimizer=low, workdir=tmp_path / "whole")
    state = fit(whole)
    fit(make_job(num_steps=4, optimizer=low))
    resumed = fit(make_job(num_steps=8, optimizer=low))
    assert {str(x.dtype) for x in jax.tree.leaves(state.ema)} == {"bfloat16"}
    jax.tree.map(np.testing.assert_array_equal, resumed, state)
    average, _ = load_trained(whole.workdir)
    assert {str(x.dtype) for x in jax.tree.leaves(average)} == {"float32"}


def test_runs_of_other_streams_draw_other_noise(make_job, tmp_path):
    first, other, again = (
        fit(make_job(num_steps=2, stream=stream, workdir=tmp_path / name)).params
        for stream, name in ((1, "first"), (2, "other"), (1, "again"))
    )
    jax.tree.map(np.testing.assert_array_equal, first, again)
    kernels = [params["params"]["body"]["kernel"] for params in (first, other)]
    assert not np.array_equal(*kernels)
