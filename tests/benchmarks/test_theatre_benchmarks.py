"""The benchmarks of what is read of the theatre, at toy size."""

import json

import pytest

from benchmarks import silence, theatre_formulas, theatre_speakers, theatre_vae
from mtv_jax.pipelines.presets import pipeline_folder


def test_theatre_formulas(capsys):
    theatre_formulas.main(["--clips", "3"])
    found = json.loads(capsys.readouterr().out)
    assert found["clips"] == 3
    assert 0.9 < found["lips_correlation"] <= 1
    assert found["events_f1_in_the_very_frame"] <= found["events_f1_within_a_frame"] <= 1
    theatre_formulas.main(["--clips", "3", "--mixed", "raw"])
    assert json.loads(capsys.readouterr().out)["lips_correlation"] < found["lips_correlation"] - 0.05


@pytest.mark.slow
def test_silence(tmp_path):
    silence.main(["--steps=1", "--clips=1", f"--out={tmp_path / 'silence.json'}"])
    rows = json.loads((tmp_path / "silence.json").read_text())["rows"]
    assert [row["heard"] for row in rows][:2] == ["own speech", "nothing"]
    assert all(row["open"] in (0, 1) for row in rows)
    assert sum("frames_late" in row for row in rows) == 3


@pytest.mark.slow
def test_theatre_vae(capsys):
    theatre_vae.main([f"--vae={pipeline_folder('tiny')}", "--clips=4"])
    found = json.loads(capsys.readouterr().out)
    assert found["psnr"] > 20
    assert len(found["figures"]) > 10


@pytest.mark.slow  # renders 400 clips for the readers
def test_theatre_speakers(capsys):
    theatre_speakers.main(["--clips", "3"])
    found = json.loads(capsys.readouterr().out)["heads"]
    assert set(found) == {"1", "2", "3", "4"}
    assert all(figures["correlation"] > 0.95 and figures["looks_right"] == 1 for figures in found.values())
