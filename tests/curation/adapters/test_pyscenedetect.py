"""Cuts, fades and dissolves are found by PySceneDetect; flashes and motion are not cuts."""

import sys
from fractions import Fraction

import numpy as np
import pytest
from media_files import rgb_frame, write_film

from mtv_jax.curation.adapters.pyscenedetect import PySceneDetect
from mtv_jax.curation.shots import Change, ChangeDetector, ShotsConfig
from mtv_jax.curation.stream import find_shots
from mtv_jax.io.errors import UserError

pytest.importorskip("scenedetect", reason="needs the extra `curate`")

COLOURS = [(200, 60, 50), (40, 90, 190), (60, 170, 80), (210, 190, 60)]


def scene(number, count, shift=0):
    """uint8 [count, 40, 60, 3]: a texture in a colour of its own, which moves by `shift` pixels a frame."""
    rng = np.random.default_rng(number)
    texture = np.kron(rng.random((10, 15)), np.ones((4, 4)))[..., None] * 0.7 + 0.3
    picture = (texture * COLOURS[number % 4]).astype(np.uint8)
    return np.stack([np.roll(picture, shift * index, axis=1) for index in range(count)])


def found(*parts, **config):
    finder = PySceneDetect(ShotsConfig(**config)).begin(Fraction(24))
    changes = [change for frame in np.concatenate(parts) for change in finder.put(frame)]
    return sorted([*changes, *finder.end()], key=lambda x: x.frame)


def mixed(before, after, count):
    """A dissolve between two pictures."""
    shares = (np.arange(count) + 1)[:, None, None, None] / (count + 1)
    return np.round(before * (1 - shares) + after * shares).astype(np.uint8)


def test_hard_cuts():
    assert found(scene(0, 20), scene(1, 7), scene(2, 20)) == [Change(20), Change(27)]
    assert found(scene(0, 30, shift=1)) == []


def test_a_cut_near_the_end_or_the_beginning():
    assert found(scene(0, 3), scene(1, 20)) == [Change(3)]
    assert found(scene(0, 20), scene(1, 2)) == [Change(20)]


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("level", [255, 0])
def test_a_flash_is_no_cut(length, level):
    flash = np.full((length, 40, 60, 3), level, np.uint8)
    assert found(scene(0, 20), flash, scene(0, 20)) == []
    assert found(scene(0, 20), flash, scene(0, 6), scene(1, 20)) == [Change(26 + length)]


def test_flashes_are_cuts_without_the_guard():
    flash = np.full((2, 40, 60, 3), 255, np.uint8)
    assert found(scene(0, 20), flash, scene(0, 20), flash_frames=0) == [Change(20), Change(22)]


def test_a_fade_through_black():
    black = np.zeros((5, 40, 60, 3), np.uint8)
    fades = [change for change in found(scene(0, 20), black, scene(1, 20)) if change.kind == "fade"]
    assert fades == [Change(20, "fade", until=25)]


def test_a_film_that_begins_and_ends_black():
    black = np.zeros((4, 40, 60, 3), np.uint8)
    fades = [change for change in found(black, scene(0, 20), black) if change.kind == "fade"]
    assert fades == [Change(0, "fade", until=4), Change(24, "fade", until=28)]


@pytest.mark.parametrize("length", [6, 14, 40])
def test_a_dissolve(length):
    changes = found(scene(0, 40), mixed(scene(0, 1)[0], scene(1, 1)[0], length), scene(1, 40))
    (change,) = (change for change in changes if change.kind == "dissolve")
    assert change.until is not None
    middle = 40 + length // 2
    assert change.frame < middle - length // 4
    assert change.until > middle + length // 4
    assert change.frame >= 40 - 24
    assert change.until <= 40 + length + 24


def test_hues_of_dark_pictures_are_noise():
    """Black becomes a red that nobody sees, whose saturation is full."""
    black = np.zeros((10, 40, 60, 3), np.uint8)
    changes = found(black, black + np.array([3, 0, 0], np.uint8))
    assert [change for change in changes if change.kind == "cut"] == []


def test_motion_is_no_cut():
    """A whip pan: every frame differs from the one before as much as at a cut."""
    pan = np.stack([scene(10 + index, 1)[0] for index in range(12)])
    changes = found(scene(0, 20), pan, scene(0, 20))
    assert not [change for change in changes if 22 < change.frame < 30]


def test_a_video_of_a_variable_rate(tmp_path):
    """PySceneDetect#479: the cut is on the time of its frame, whatever the rate is on average."""
    pictures = np.concatenate([scene(0, 12), scene(1, 12)])
    stamps = [40 * index for index in range(12)] + [2000 + 17 * index for index in range(12)]
    path = write_film(
        tmp_path / "v.mp4", [rgb_frame(x, "yuv420p") for x in pictures], "libx264", rate=1000, stamps=stamps
    )
    shots = find_shots(path, PySceneDetect())
    assert [(shot.start, shot.begins) for shot in shots] == [(0, "film"), (2, "cut")]


def test_its_card():
    detector = PySceneDetect()
    assert isinstance(detector, ChangeDetector)
    assert (detector.card().name, detector.card().licence, detector.card().fidelity) == (
        "PySceneDetect",
        "BSD-3-Clause",
        "classical",
    )


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scenedetect.detectors", None)
    with pytest.raises(UserError, match="pip install"):
        found(scene(0, 3))
