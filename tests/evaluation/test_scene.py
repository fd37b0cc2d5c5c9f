"""A scene as files: read as it was written, the bundled one made as documented, and a video of it measured."""

import importlib.resources
import shutil
from pathlib import Path

import numpy as np
import pytest

from mtv_jax import evaluate, sample
from mtv_jax.evaluation.report.contact_sheet import onsets
from mtv_jax.evaluation.report.output import SHEET
from mtv_jax.evaluation.report.schema import read_report
from mtv_jax.evaluation.report.text import text_line
from mtv_jax.evaluation.scene import read_scene, write_scene
from mtv_jax.evaluation.scene_suite import scene_figures
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json
from mtv_jax.io.video import read_image
from mtv_jax.names import TRACKS
from mtv_jax.theatre import EVALUATION_SEEDS, SoundLibrary, plan_clip, render_clip, render_frames

NO_PROP_INDEX = next(index for index in range(20) if plan_clip(0, index).prop is None)
BELL = Path(str(importlib.resources.files("mtv_jax.assets"))) / "scenes" / "bell"


@pytest.fixture(scope="module")
def readers():
    return theatre_readers.readers_of(theatre_readers.fitting_clips(60))


@pytest.fixture(scope="module")
def bell():
    return read_scene(BELL)


@pytest.fixture(scope="module")
def own(bell):
    """The theatre's own picture of the bundled scene."""
    return render_frames(bell.plan, bell.performance)


def test_the_bundled_scene_is_what_its_command_makes(bell, tmp_path):
    write_scene(tmp_path, EVALUATION_SEEDS, 1103, SoundLibrary.held_out())
    assert read_json(tmp_path / "scene.json") == read_json(BELL / "scene.json")
    for name in TRACKS:
        made = read_scene(tmp_path).performance.tracks[name]
        np.testing.assert_array_equal(made, bell.performance.tracks[name])


def test_its_speech_and_effects_are_real_and_its_music_synthetic(bell):
    synthetic = render_clip(EVALUATION_SEEDS, 1103).tracks
    same = {name: np.allclose(bell.performance.tracks[name], synthetic[name], atol=1e-6) for name in TRACKS}
    assert same == {"speech": False, "effects": False, "music": True}


def test_a_scene_is_read_as_it_was_rendered(tmp_path):
    clip = render_clip(EVALUATION_SEEDS, 3)
    write_scene(tmp_path, EVALUATION_SEEDS, 3)
    scene = read_scene(tmp_path)
    assert scene.plan.event_frames == clip.plan.event_frames
    np.testing.assert_allclose(scene.performance.envelopes["speech"], clip.truth.envelope, atol=1e-3)
    np.testing.assert_array_equal(render_frames(scene.plan, scene.performance).shape, clip.frames.shape)


def test_strikes_are_heard_when_the_scene_says(bell):
    heard = onsets(bell.performance.tracks["effects"])
    np.testing.assert_allclose(heard, bell.plan.prop.onsets, atol=0.02)


def test_the_theatres_own_picture_is_in_step(bell, own, readers):
    figures = scene_figures(bell, readers, own)
    assert all(figure.value == figure.baselines["theatre"] for figure in figures)
    lips, lag, sync, events, valence, energy = figures
    assert lips.value > 0.9
    assert "lips 0 frames late" in text_line(lips)
    assert lag.value == 0
    assert sync.value > 0.5
    assert "without movement 0.00" in sync.note
    assert events.value == 1.0
    assert valence.value == pytest.approx(bell.performance.mood.valence, abs=0.1)
    assert energy.value == pytest.approx(bell.performance.mood.energy, abs=0.1)


def test_a_picture_of_other_sounds_is_not(bell, own, readers):
    lips, _, sync, events, *_ = scene_figures(bell, readers, np.repeat(own[:1], 25, axis=0))
    assert lips.value < 0.3
    assert sync.value == 0
    assert events.value == 0.0
    for frames in (1, -2):
        late, lag, *_ = scene_figures(bell, readers, np.roll(own, frames, axis=0))
        assert lag.value == frames
        assert lag.baselines["theatre"] == 0
    late, *_ = scene_figures(bell, readers, np.roll(own, 1, axis=0))
    assert "lips 1 frames late" in late.note
    assert late.value > 0.9


def test_what_is_not_in_a_scene_is_not_read(bell, own, readers, tmp_path):
    for name in ("speech", "effects", "music"):
        shutil.copy(BELL / f"{name}.flac", tmp_path)
    write_json(tmp_path / "scene.json", read_json(BELL / "scene.json") | {"onsets": [], "mood": None})
    figures = scene_figures(read_scene(tmp_path), readers, own)
    assert [figure.id for figure in figures] == ["lips.correlation", "lips.lag", "sync.confidence"]


@pytest.mark.parametrize(
    ("reported", "message"),
    [
        ({"num_frames": 0}, "num_frames 0"),
        ({"fps": "twelve"}, "no scene: 'fps' is a frame rate"),
        ({"onsets": [0.5, 2.1]}, r"onset 2.1 s: must be from 0.083 to 2.083 s"),
        ({"onsets": [0.0]}, "onset 0 s"),
        ({"theatre": {"seed": 0, "index": NO_PROP_INDEX}}, "onsets, but there is no prop"),
    ],
)
def test_a_broken_scene_is_refused(tmp_path, reported, message):
    write_json(tmp_path / "scene.json", read_json(BELL / "scene.json") | reported)
    with pytest.raises(UserError, match=message):
        read_scene(tmp_path)


def test_a_sampled_video_is_measured_with_a_contact_sheet(
    pipeline_folder, readers, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(theatre_readers, "fit_readers", lambda *_: readers)
    video, scene = tmp_path / "demo.mp4", read_json(BELL / "scene.json")
    sounds = [text for name in TRACKS for text in (f"--{name}", str(BELL / f"{name}.flac"))]
    size = ["--num-frames", "25", "--fps", "12", "--steps", "1"]
    source = ["--preset", str(pipeline_folder), "--prompt", scene["prompt"]]
    sample.main([*source, *sounds, *size, "--out", str(video)])
    assert evaluate.main([str(video), "--scene", str(BELL), "--out", str(tmp_path / "out")]) == 0
    report = read_report(tmp_path / "out" / "results.json")
    assert (report.suite, report.rows[0].video, report.rows[0].shown) == ("scene", "demo.mp4", False)
    assert [figure.id for figure in report.figures] == [
        "lips.correlation",
        "lips.lag",
        "sync.confidence",
        "events.f1",
        "mood.valence",
        "mood.energy",
    ]
    assert "F1 within a frame" in (tmp_path / "out" / "index.html").read_text()
    assert read_image(tmp_path / "out" / SHEET).shape[2] == 3
    assert "F1 within a frame" in capsys.readouterr().out


def test_a_scene_takes_one_video(tmp_path):
    files = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    with pytest.raises(UserError, match="--scene .*: takes one video, not 2"):
        evaluate.main([*map(str, files), "--scene", str(BELL), "--out", str(tmp_path)])


def test_a_silent_head_is_read_too(readers, tmp_path):
    plans = (plan_clip(EVALUATION_SEEDS, index) for index in range(100))
    index = next(plan.index for plan in plans if len(plan.actors) == 2 and plan.speaker is not None)
    write_scene(tmp_path, EVALUATION_SEEDS, index)
    scene = read_scene(tmp_path)
    lips, _, other, *_ = scene_figures(scene, readers, render_frames(scene.plan, scene.performance))
    assert lips.value > 0.9
    assert other.id == "other_head.correlation"
    assert abs(other.value) < 0.6
