"""Cuts, beyond which no face is followed."""

import sys

import numpy as np
import pytest

from mtv_jax.faces.cuts import find_cuts
from mtv_jax.io.errors import UserError

pytest.importorskip("scenedetect")


def shot(colour, count, width=40):
    """A picture of one colour with a white square that moves."""
    frames = np.full((count, 30, width, 3), colour, np.uint8)
    for number, frame in enumerate(frames):
        frame[10:20, number : number + 10] = 255
    return frames


def test_every_cut_is_found_in_its_frame_however_short_the_shots():
    shots = [shot((200, 30, 30), 6), shot((30, 30, 200), 3), shot((220, 220, 220), 7)]
    assert find_cuts(np.concatenate(shots), 25) == [6, 9]


def test_motion_and_slow_changes_are_no_cuts():
    frames = shot((90, 90, 90), 20)
    fading = frames // 20 * np.arange(20, dtype=np.uint8)[::-1, None, None, None]
    assert find_cuts(frames, 25) == find_cuts(fading, 25) == []


def test_wide_pictures_are_reduced_alike():
    """Lines of single pixels become grey, so that to swap them is no cut."""
    lines = np.zeros((2, 30, 512, 3), np.uint8)
    lines[0, :, ::2] = lines[1, :, 1::2] = 255
    assert find_cuts(lines, 25) == []
    assert find_cuts(lines[:, :, :256], 25) == [1]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scenedetect.detectors", None)
    with pytest.raises(UserError, match=r"PySceneDetect.*pip install"):
        find_cuts(shot(0, 2), 25)
