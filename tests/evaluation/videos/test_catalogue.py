"""The catalogue of metrics: what it says, what is missing without weights, and every metric on a real file."""

import functools

import numpy as np
import pytest

from mtv_jax import evaluate
from mtv_jax.evaluation.report.claims import CLAIMS
from mtv_jax.evaluation.report.schema import read_report
from mtv_jax.evaluation.videos.catalogue import METRICS, find_metrics
from mtv_jax.evaluation.videos.metric import Instrument, Weights
from mtv_jax.evaluation.videos.run import open_tools
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video

NETWORKS = {name: metric for name, metric in METRICS.items() if metric.network}


def test_the_list_has_everything_about_each_metric(capsys):
    assert evaluate.main(["--metrics", "list"]) == 0
    shown = capsys.readouterr().out
    for metric in METRICS.values():
        assert f"\n{metric.name}: " in "\n" + shown
        assert metric.source in shown
    assert "needs none" in shown
    assert "the network, from the paper's reference" in shown


def test_unknown_metrics_are_refused_with_the_nearest():
    with pytest.raises(UserError, match="--metrics temp: unknown; .*; did you mean 'temp_c'"):
        find_metrics("av_align,temp")
    with pytest.raises(UserError, match="names no metric"):
        find_metrics(" , ")
    assert [metric.name for metric in find_metrics("ia, flicker,ia")] == ["ia", "flicker"]


@pytest.mark.parametrize("name", NETWORKS)
def test_without_weights_a_metric_says_how_to_get_them(name, tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(UserError, match=r"(?s)(python -m mtv_jax|pip install|Hugging Face|make )"):
            METRICS[name].open(Weights(folder))


@functools.cache
def measured(folder):
    """The report on a moving and a frozen video with sound, by every metric, networks being tiny and random."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), np.uint8)
    sound = rng.normal(size=32_000).astype(np.float32) * 0.1
    for name, step in (("moving", 2), ("frozen", 0)):
        frames = np.stack([np.roll(noise, step * frame, axis=1) for frame in range(16)])
        write_video(folder / f"{name}.mp4", frames, 8, audio=sound, sample_rate=16_000)
    lines = [
        f'{{"video": "{name}.mp4", "id": "{name}", "prompt": "noise"}}\n' for name in ("moving", "frozen")
    ]
    (folder / "m.jsonl").write_text("".join(lines))
    flags = ["--manifest", folder / "m.jsonl", "--metrics", ",".join(METRICS), "--out", folder / "out"]
    assert evaluate.main([*map(str, flags), "--allow-random-weights"]) == 0
    return read_report(folder / "out" / "results.json")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    pytest.importorskip("cv2")
    return measured(tmp_path_factory.mktemp("videos"))


def test_every_metric_measures_a_file(report):
    lacking = set(report.missing)
    assert lacking <= {"text_c"}, report.missing  # whose vocabulary is a package of its own
    columns = {name.partition(".")[0] for row in report.rows for name in row.values}
    assert columns == set(METRICS) - lacking
    assert not report.failures
    assert all(figure.id in CLAIMS for figure in report.figures)


def test_random_weights_are_named_and_make_it_invalid(report):
    assert {name.partition("_clip")[0].partition("_imagebind")[0] for name in report.untrained} >= {
        "temp_c",
        "audio_c",
        "ia",
    }
    assert report.to_json()["valid"] is False


def test_a_frozen_video_is_faultless_and_does_not_move(report):
    rows = {row.id: row.values for row in report.rows}
    assert rows["frozen"]["temp_c"] == pytest.approx(100, abs=1e-3)
    assert rows["frozen"]["flicker"] > 0.999 > rows["moving"]["flicker"]
    assert rows["frozen"]["motion"] < 0.05 < rows["moving"]["motion"]


def test_instruments_are_what_the_protocol_says():
    tools, _ = open_tools(list(METRICS.values()), Weights(None, random=True))
    for tool in tools:
        assert isinstance(tool.instrument, Instrument)
        assert tool.instrument.variant.startswith(tool.metric.name)
        assert tool.instrument.untrained == bool(tool.metric.network)
        assert bool(tool.metric.network) == ("weights" in tool.instrument.facts)
