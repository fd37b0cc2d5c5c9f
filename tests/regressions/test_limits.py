"""Numbers that no machine can serve are refused in one line before any work; --force goes past the bounds.

Found by attack: `--fps 1/1000` built a clip of 25,000 s until the kernel ended the process.
"""

from fractions import Fraction

import numpy as np
import pytest
from front_doors import exit_code, forbid_networks

from mtv_jax import Pipeline, curate, demix, evaluate, sample
from mtv_jax.io import limits
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError

SAMPLE = ["--preset", "tiny", "--prompt", "a bell"]
SUITE = ["--suite", "theatre", "--preset", "tiny"]


@pytest.mark.parametrize(
    ("main", "argv", "reported"),
    [
        (sample.main, [*SAMPLE, "--fps", "1/1000"], "fps 0.001: 25 frames would last 25000 s"),
        (sample.main, [*SAMPLE, "--fps", "1e9"], "argument --fps"),
        (sample.main, [*SAMPLE, "--fps", "1e-9"], "argument --fps"),
        (sample.main, [*SAMPLE, "--num-frames", "100000000"], "num_frames 100000000: more than 10000"),
        (sample.main, [*SAMPLE, "--height", "1000000"], "height 1000000: more than 8192"),
        (sample.main, [*SAMPLE, "--width", str(10**12)], f"width {10**12}: more than 8192"),
        (sample.main, [*SAMPLE, "--steps", str(10**9)], f"num_inference_steps {10**9}: more than 1000"),
        (sample.main, [*SAMPLE, "--seeds", f"0:{10**12}"], f"videos {10**12}: more than 10000"),
        (
            sample.main,
            [*SAMPLE, "--num-frames", "9601", "--height", "4096", "--width", "4096"],
            "9601 frames of 4096 x 4096: take 2251 GiB",
        ),
        (curate.main, ["run", "--videos", ".", "--num-frames", "100000001"], "num_frames 100000001"),
        (curate.main, ["run", "--videos", ".", "--stride", str(10**9)], f"stride {10**9}"),
        (curate.main, ["run", "--videos", ".", "--fps", "1/1000"], "fps 0.001"),
        (curate.main, ["theatre", "--clips", str(10**12)], f"clips {10**12}: more than 1000000"),
        (curate.main, ["theatre", "--num-frames", "100000001"], "num_frames 100000001"),
        (curate.main, ["theatre", "--fps", "1/1000"], "fps 0.001"),
        (curate.main, ["theatre", "--width", "1000000"], "width 1000000"),
        (evaluate.main, [*SUITE, "--clips", str(10**12)], f"clips {10**12}"),
        (evaluate.main, [*SUITE, "--steps", str(10**9)], f"steps {10**9}"),
        (evaluate.main, [*SUITE, "--batch-size", str(10**9)], f"batch_size {10**9}"),
    ],
)
def test_a_number_out_of_bounds_is_reported_before_any_work(
    main, argv, reported, tmp_path, monkeypatch, capsys
):
    forbid_networks(monkeypatch)
    out = tmp_path / ("out.mp4" if main is sample.main else "out")
    assert exit_code(main, *argv, "--out", out) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert reported in line
    assert list(tmp_path.iterdir()) == []


def test_force_goes_past_the_bounds(tmp_path, monkeypatch, capsys):
    forbid_networks(monkeypatch)
    argv = [*SAMPLE, "--fps", "1/1000", "--out", tmp_path / "x.mp4"]
    assert exit_code(sample.main, *argv) == 2
    assert "--force" in capsys.readouterr().err
    assert exit_code(sample.main, *argv, "--force") == 1
    assert "a network is loaded" in capsys.readouterr().err


def test_tracks_that_the_disk_has_no_room_for_are_refused_before_separating(tmp_path, monkeypatch, capsys):
    forbid_networks(monkeypatch)
    write_audio(tmp_path / "mix.wav", np.zeros(16000, np.float32), 16000)
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 190_000}))
    argv = [tmp_path / "mix.wav", "--out", tmp_path / "out"]
    assert exit_code(demix.main, *argv) == 2
    assert "its disk has 0.0 left" in capsys.readouterr().err
    assert exit_code(demix.main, *argv, "--force") == 1
    assert exit_code(demix.main, *argv, "--format", "flac") == 1


def test_bounds_include_their_ends():
    limits.check_clip(10_000, Fraction(10), 64, 64, steps=1000)
    with pytest.raises(UserError, match="num_frames 10001"):
        limits.check_clip(10_001, Fraction(12), 64, 64)
    with pytest.raises(UserError, match="would last 1001 s"):
        limits.check_clip(1001, Fraction(1), 64, 64)
    with pytest.raises(UserError, match="num_inference_steps 1001"):
        limits.check_clip(25, Fraction(12), 64, 64, steps=1001)
    limits.check_clip(10**9, Fraction(1, 1000), 10**6, 10**6, steps=10**9, force=True)


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"prompt": " "}, "prompt: is blank"),
        ({"prompt": "caf\udce9"}, "is not UTF-8"),
        ({"guidance_scale": -5}, "guidance_scale -5"),
        ({"guidance_scale": {"speech": float("inf")}}, "guidance_scale of speech inf"),
        ({"fps": 1 / 1000}, r"fps 0.001: 5 frames would last 5000 s"),
        ({"fps": float("nan")}, "fps nan"),
        ({"num_frames": 10**8 + 1}, "num_frames 100000001"),
        ({"height": 10**6}, "height 1000000"),
        ({"num_inference_steps": 10**9}, "num_inference_steps 1000000000"),
        ({"tracks": {"voice": "a.wav"}}, "tracks: voice"),
        ({"tracks": {"speech": "missing.wav"}}, r"missing\.wav: no such file"),
        ({"tracks": {"speech": "missing.wav"}, "speech": "own.wav"}, r"own\.wav: no such file"),
    ],
)
def test_the_library_refuses_them_as_the_command_does(options, reported, pipe):
    with pytest.raises(UserError, match=reported):
        pipe(**{"prompt": "a bell"} | options)


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    return Pipeline.from_pretrained(pipeline_folder)
