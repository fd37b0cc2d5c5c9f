"""Both versions of AV-Align on planted events, and where they differ."""

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.av_align import SAMPLE_RATE, align, motion, onset_times, peak_times
from mtv_jax.evaluation.metrics.av_align_v1 import AV_ALIGN_V1, align_v1, av_align_v1
from mtv_jax.evaluation.metrics.base import Measured, measured

FPS = 24
EVENTS = {12: -0.45, 23: 0.0, 34: 0.0, 45: 0.0, 57: -0.45}
"""Frame in which the picture jumps -> when its sound begins, in frames after that."""


@pytest.fixture(scope="module")
def frames():
    pytest.importorskip("cv2")
    texture = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8).repeat(2, 0).repeat(2, 1)
    shifts = np.cumsum(np.isin(np.arange(72), list(EVENTS)) * 3)
    return np.stack([np.roll(texture, shift, axis=1) for shift in shifts])


def bursts(lag: float) -> np.ndarray:
    """Bursts of noise, each `lag` seconds after its event."""
    rng, length = np.random.default_rng(1), 1100
    sound = np.zeros(3 * SAMPLE_RATE, np.float32)
    for frame, offset in EVENTS.items():
        start = round(((frame + offset) / FPS + lag) * SAMPLE_RATE)
        sound[start : start + length] += 0.5 * rng.normal(size=length) * np.exp(-np.arange(length) / 180)
    return sound


@pytest.mark.parametrize(("lag", "score"), [(0.0, 1.0), (0.04, 0.25), (0.08, 0.0)])
def test_planted_events_are_scored_by_their_lag(frames, lag, score):
    found = av_align_v1(frames, FPS, bursts(lag))
    assert (found.onsets, found.peaks) == (5, 5)
    assert found.score == score
    onsets, peaks = onset_times(bursts(lag)), peak_times(motion(frames), FPS)
    assert align(onsets, peaks, 1 / FPS).score == score


def test_several_onsets_may_match_one_peak():
    onsets, peaks = [0.99, 1.0, 1.01, 3.0], [1.0]
    first, second = align_v1(onsets, peaks, 0.04), align(onsets, peaks, 0.04)
    assert (first.score, first.matches) == (1.5, 3)
    assert (second.score, second.matches) == (0.25, 1)


def test_faint_motion_has_peaks_in_the_first_version_only(monkeypatch):
    values = np.array([0, 0, 0.05, 0, 0.5, 0])
    monkeypatch.setattr("mtv_jax.evaluation.metrics.av_align_v1.motion", lambda frames: values)
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert av_align_v1(np.zeros((6, 2, 2, 3), np.uint8), 1.0, silence).peaks == 2
    assert peak_times(values, 1) == [4]


def test_without_events_the_score_is_1_as_in_the_second_version():
    assert align_v1([], [], 0.04) == align([], [], 0.04)
    assert align_v1([1.0], [], 0.04).score == align_v1([], [1.0], 0.04).score == 0


def test_figures_are_of_all_videos():
    (figure,) = measured(AV_ALIGN_V1, [Measured("a", 0, {"score": 1.5}), Measured("b", 1, {"score": 0.5})])
    assert (figure.id, figure.value, figure.n) == ("av_align.score_v1", 1.0, 2)
