"""The benchmarks of long videos and keyframes: their measures, and each at toy size."""

import json

import numpy as np
import pytest

from benchmarks import drift, keyframes, long_video_memory, timed_prompts


def test_the_measures_of_drift():
    np.testing.assert_allclose(drift.to_lab(np.array([255.0, 255, 255])), [100, 0, 0], atol=0.1)
    np.testing.assert_allclose(drift.to_lab(np.array([255.0, 0, 0])), [53.2, 80.1, 67.2], atol=0.3)
    grey = np.full((5, 64, 64, 3), 100, np.uint8)
    grey[:, ::2] = 120
    blurred = np.full_like(grey, 110)
    found = drift.colour_and_sharpness(blurred, grey)
    assert found["sharpness"] == 0
    assert 0 <= found["lab"] < 3
    assert drift.colour_and_sharpness(grey, grey) == {"lab": 0, "sharpness": 1}


def test_the_jump_to_a_keyframe_is_in_usual_differences():
    frames = np.cumsum(np.full((9, 4, 4, 3), 2.0), axis=0)
    assert keyframes.jump(frames, 4) == pytest.approx(1)
    frames[4:] += 6
    assert keyframes.jump(frames, 4) == pytest.approx(4)


@pytest.mark.slow
def test_drift(tmp_path):
    files = [f"--work={tmp_path / 'work'}", f"--out={tmp_path / 'a.json'}", f"--svg={tmp_path / 'a.svg'}"]
    options = ["--seconds=4", "--part=2", "--clips=1", "--rounds=1", "--ways", "latent:25:5", "released:25:5"]
    drift.main([*files, *options])
    parts = json.loads((tmp_path / "a.json").read_text())["parts"]
    assert set(parts) == {"theatre", "autoencoder", "latent:25:5", "released:25:5"}
    assert all(len(row["lab"]) == 2 for row in parts.values())
    assert (tmp_path / "a.svg").read_text().count("<polyline") == 6


@pytest.mark.slow
def test_keyframes_and_timed_prompts(tmp_path):
    keyframes.main(["--frames=13", "--clips=1", f"--out={tmp_path / 'a.json'}"])
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["psnr"] > found["psnr_autoencoder"]
    timed_prompts.main(["--clips=1", "--transitions", "0", f"--out={tmp_path / 'b.json'}"])
    (row,) = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert row["within"] == 1


@pytest.mark.slow
def test_long_video_memory(tmp_path):
    long_video_memory.main(["--seconds", "3", "--size=64", f"--out={tmp_path / 'a.json'}"])
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [row["streamed"] for row in rows] == [True, False]
    assert all(row["peak_mb"] > 100 for row in rows)
