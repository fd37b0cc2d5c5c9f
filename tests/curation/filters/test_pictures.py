"""Static clips and black bars, on drawn and on real pictures."""

import numpy as np
import pytest
from media_files import SHARED

from mtv_jax.curation.filters.bars import bar_scores, black_bars
from mtv_jax.curation.filters.motion import mean_motion, motion_scores
from mtv_jax.io.video import read_video, write_video

DRAW = np.random.default_rng(0)
needs_media = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared media")


def scene(height=90, width=160, seed=0):
    """A blurred random picture, uint8 [H W 3]."""
    coarse = np.random.default_rng(seed).integers(40, 255, (height // 6, width // 6, 3))
    picture = np.kron(coarse, np.ones((6, 6, 1)))
    picture = np.pad(picture, [(0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)], "edge")
    return picture.astype(np.uint8)


def panned(frames, step, **size):
    return np.stack([np.roll(scene(**size), step * i, axis=1) for i in range(frames)])


def noisy(frames, sigma):
    noise = DRAW.normal(0, sigma, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def test_a_still_picture_does_not_move_and_a_pan_does():
    still = np.stack([scene()] * 4)
    assert mean_motion(still) < 0.01
    assert mean_motion(still[:1]) == 0
    assert mean_motion(noisy(still, 3)) < 0.05
    assert mean_motion(panned(4, 3)) == pytest.approx(100 * 3 / 160, rel=0.1)  # percent of the width


def test_motion_does_not_depend_on_the_size_of_the_picture():
    small = panned(3, 3)
    large = small.repeat(3, axis=1).repeat(3, axis=2)
    assert mean_motion(large) == pytest.approx(mean_motion(small), rel=0.2)


def barred(frames, top=0, bottom=0, left=0, right=0, level=0):
    frames = frames.copy()
    height, width = frames.shape[1:3]
    frames[:, :top] = frames[:, height - bottom :] = level
    frames[:, :, :left] = frames[:, :, width - right :] = level
    return frames


@pytest.mark.parametrize(
    "widths", [(0, 0, 0, 0), (12, 12, 0, 0), (0, 0, 20, 20), (9, 18, 0, 0), (9, 9, 16, 16)]
)
def test_the_widths_of_bars(widths):
    frames = noisy(barred(panned(3, 3), *widths, level=8), 3)
    found = black_bars(frames)
    expected = np.array(widths) / [90, 90, 160, 160]
    assert [found.top, found.bottom, found.left, found.right] == pytest.approx(expected)
    assert found.area == pytest.approx(1 - (90 - sum(widths[:2])) * (160 - sum(widths[2:])) / (90 * 160))


def test_dark_scenes_have_no_bars():
    night = np.zeros((3, 90, 160, 3), np.uint8)
    assert black_bars(night).area == 0
    rows, columns = np.mgrid[:90, :160]
    lamp = 255 * np.exp(-((rows - 50) ** 2 + (columns - 60) ** 2) / 300)
    assert black_bars(night + lamp[..., None].astype(np.uint8)).area == 0
    horizon = np.clip(rows - 40, 0, 50)  # fades in below a black sky
    assert black_bars(night + horizon[..., None].astype(np.uint8)).area == 0


def test_a_bar_stays_black_in_all_frames():
    frames = barred(panned(3, 3), top=12)
    frames[1, :12] = 200
    assert black_bars(frames).top == 0


def test_files(tmp_path):
    frames = barred(panned(12, 1), top=12, bottom=12)
    write_video(tmp_path / "clip.mp4", frames, 6)
    assert bar_scores(tmp_path / "clip.mp4")["share"] == pytest.approx(24 / 90, abs=0.01)
    assert motion_scores(tmp_path / "clip.mp4")["flow"] > 0.3


@needs_media
def test_a_person_who_talks_before_a_fixed_camera_moves_and_has_no_bars():
    frames, _ = read_video(SHARED / "talking_man_7.8s.mp4", fps=2, num_frames=4)
    assert mean_motion(frames) > 0.1
    assert mean_motion(np.stack([frames[0]] * 3)) < 0.01
    assert black_bars(frames).area == 0
    assert black_bars(barred(frames, top=60, bottom=60)).area == pytest.approx(
        120 / frames.shape[1], abs=0.01
    )
