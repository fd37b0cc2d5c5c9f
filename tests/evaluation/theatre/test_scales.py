"""The table of effect and leak at several guidance scales of each track."""

import re

import numpy as np
import pytest
from front_doors import exit_code

from mtv_jax import Pipeline, evaluate
from mtv_jax.evaluation.report.schema import Figure, Report
from mtv_jax.evaluation.theatre import pipeline, scales
from mtv_jax.evaluation.theatre.options import SuiteOptions, parse_scales


@pytest.fixture
def measured(monkeypatch):
    """What is measured: the folder and the scales of each measurement, whose effect is the scale."""
    calls = []

    def measure(options, out, *, overwrite, track_scales):
        calls.append((out.name, track_scales))
        assert options.scales is None
        ((_, scale),) = track_scales or (("all", 1.0),)
        figures = [Figure(name, scale, 3, [scale - 0.1, scale + 0.1]) for name in scales.EFFECTS.values()]
        return Report("theatre", [*figures, Figure("leaks.music_by_speech", 0.25, 3)], {}, []), False

    monkeypatch.setattr(scales, "evaluate_pipeline", measure)
    return calls


def test_each_track_is_measured_at_each_scale_and_shared_measurements_once_have_one_folder(
    measured, tmp_path
):
    table = scales.evaluate_scales(SuiteOptions("tiny", scales=(0.0, 1.0, 2.0)), tmp_path, overwrite=False)
    assert measured == [
        (name, ((track, scale),) if name != "all" else ())
        for track in ("speech", "effects", "music")
        for name, scale in ((f"{track}_0", 0.0), ("all", 1.0), (f"{track}_2", 2.0))
    ]
    assert (tmp_path / scales.TABLE).read_text() == f"{table}\n"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0] == ["track", "scale", "effect", "leak into speech", "leak into effects", "leak into music"]
    assert rows[4][:2] == ["speech", "2"]
    assert re.search(r"correlation.* 2\.000 \(1\.900 to 2\.100\)$", rows[4][2])
    assert rows[4][3:] == ["-", "-", "0.250"]
    assert rows[7][3:] == ["-", "-", "-"]
    assert len(rows) == 2 + 9


def test_a_command_makes_the_table(measured, tmp_path, capsys):
    argv = ("--suite", "theatre", "--preset", "tiny", "--out", tmp_path / "out")
    assert exit_code(evaluate.main, *argv, "--scales") == 0
    assert len(measured) == 12
    assert "| music | 4 |" in capsys.readouterr().out
    assert exit_code(evaluate.main, *argv, "--scales", "0,101") == 2
    assert exit_code(evaluate.main, *argv, "--scales", "0,0") == 2
    assert exit_code(evaluate.main, *argv, "--scales", "a") == 2
    assert parse_scales("0,2.5") == (0.0, 2.5)


def test_a_track_s_scale_reaches_the_sampling(monkeypatch, pipeline_folder):
    seen = []

    def sample(_pipe, requests, _clip, config, *, batch_size):
        seen.append(config)
        return iter(np.zeros((len(list(requests)), 1)))

    monkeypatch.setattr(pipeline, "sample", sample)
    pipe, own = Pipeline.from_pretrained(pipeline_folder), (("speech", 0.0),)
    list(pipeline.generated(pipe, [], steps=2, guidance_scale=1.5, batch_size=1, track_scales=own))
    assert seen[0].track_scales == own
    assert seen[0].guidance_scale == 1.5
