"""AV-Align on events whose times are known."""

import numpy as np
import pytest

from mtv_jax import evaluate
from mtv_jax.evaluation.metrics.av_align import SAMPLE_RATE, align, av_align, motion, onset_times, peak_times
from mtv_jax.evaluation.report.schema import read_report
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.io.video import write_video

FPS, FRAMES, RATE = 24, 72, 48000
EVENTS = (12, 30, 47, 60)


def jumping_box(events=EVENTS) -> np.ndarray:
    """A textured picture that jumps sideways at the given frames, and nothing else."""
    texture = (
        np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8).repeat(2, 0).repeat(2, 1)[:64, :96]
    )
    shift = np.cumsum(np.isin(np.arange(FRAMES), events) * 3)
    return np.stack([np.roll(texture, s, axis=1) for s in shift])


def clicks(times) -> np.ndarray:
    """A burst of noise at each time."""
    sound = np.zeros(FRAMES * RATE // FPS, np.float32)
    burst = np.random.default_rng(1).normal(size=2400) * np.exp(-np.arange(2400) / 400) * 0.5
    for time in times:
        start = round(time * RATE)
        sound[start : start + 2400] += burst[: len(sound) - start]
    return sound


def test_matching_is_one_to_one():
    result = align([1.0, 1.01], [1.005], tolerance=0.04)
    assert (result.matches, result.score) == (1, 0.5)


def test_no_events_at_all_is_one_by_definition():
    result = align([], [], 0.04)
    assert (result.score, result.onsets, result.peaks) == (1.0, 0, 0)


def test_events_only_on_one_side_score_nothing():
    assert align([1.0], [], 0.04).score == 0.0


def test_motion_peaks_where_the_picture_jumps():
    pytest.importorskip("cv2")
    assert peak_times(motion(jumping_box()), FPS) == [pytest.approx(e / FPS) for e in EVENTS]


def test_silence_has_no_onsets():
    assert onset_times(np.zeros(22050, np.float32)) == []


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A video in sync, and one whose sound is three frames late."""
    pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("videos")
    for name, lag in (("in_sync", 0), ("late", 3)):
        sound = clicks([(e + lag) / FPS for e in EVENTS])
        write_video(folder / f"{name}.mp4", jumping_box(), FPS, audio=sound, sample_rate=RATE)
    return folder


def test_sync_is_distinguished_from_lag(videos):
    def score(name):
        clip = Clip(Item(name, videos / name))
        return av_align(clip.frames, float(clip.fps), clip.sound(SAMPLE_RATE)).score

    assert score("in_sync.mp4") >= 0.75
    assert score("late.mp4") == 0.0


def test_command_writes_rows_and_counts_failures(videos, tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    assert evaluate.main([str(videos), str(tmp_path / "broken.mp4"), "--out", str(tmp_path)]) == 0
    report = read_report(tmp_path / "results.json")
    assert [row.id for row in report.rows] == ["late.mp4", "in_sync.mp4", "broken.mp4"]  # the worst first
    assert [failure.video for failure in report.failures] == ["broken.mp4"]
    score = report.figure("av_align.score")
    assert (score.n, score.value) == (2, pytest.approx(report.rows[1].values["av_align"] / 2))
    assert report.figure("av_align.without_events").value == 0
    assert "broken.mp4" in (tmp_path / "index.html").read_text()
    assert "broken.mp4" in capsys.readouterr().out
