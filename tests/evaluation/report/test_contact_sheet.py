"""The contact sheet: frames over the time at which they are shown, waves where sound is."""

import numpy as np
import pytest

from mtv_jax.evaluation.report.contact_sheet import (
    COLOURS,
    COLUMNS,
    LANE,
    MARGIN,
    ONSET,
    Strip,
    contact_sheet,
    draw_strip,
    draw_wave,
    onsets,
)

FPS, FRAMES, RATE = 12, 25, 16000
SAMPLES = round(FRAMES * RATE / FPS)


def struck(times):
    """A track of short bursts that ring out."""
    wave = np.zeros(SAMPLES, np.float32)
    ring = np.sin(2 * np.pi * 900 * np.arange(4000) / RATE) * np.exp(-np.arange(4000) / 800) * 0.3
    for time in times:
        start = round(time * RATE)
        wave[start : start + 4000] += ring[: SAMPLES - start]
    return wave


@pytest.fixture
def strip():
    speech = np.zeros(SAMPLES, np.float32)
    speech[SAMPLES // 2 :] = 0.1 * np.sin(2 * np.pi * 150 * np.arange(SAMPLES - SAMPLES // 2) / RATE)
    frames = np.zeros((FRAMES, 64, 64, 3), np.uint8)
    frames[:] = (np.arange(FRAMES) * 10)[:, None, None, None]
    tracks = {"speech": speech, "effects": struck([0.5, 1.5]), "music": np.zeros(SAMPLES, np.float32)}
    return Strip(frames, tracks, FPS)


def lane(sheet, number):
    below = 96 + number * LANE
    return sheet[below : below + LANE, MARGIN:]


def coloured(picture, colour):
    """Columns that have a pixel of a colour, as shares of the width."""
    return np.flatnonzero((picture == colour).all(axis=2).any(axis=0)) / picture.shape[1]


def test_waves_are_where_sound_is(strip):
    sheet = draw_strip(strip)
    assert sheet.shape == (96 + 3 * LANE, MARGIN + COLUMNS * 96, 3)
    speech = (lane(sheet, 0) == COLOURS["speech"]).all(axis=2).sum(axis=0)
    half = len(speech) // 2
    assert speech[: half - 2].max() <= 1  # a flat line
    assert speech[half + 2 :].mean() > LANE / 3
    music = (lane(sheet, 2) == COLOURS["music"]).all(axis=2).sum(axis=0)
    assert music.max() == 1


def test_onsets_are_marked_when_they_are_heard(strip):
    seconds = SAMPLES / RATE
    marks = coloured(lane(draw_strip(strip), 1), ONSET) * seconds
    assert marks == pytest.approx([0.5, 1.5], abs=0.015)
    assert onsets(np.zeros(SAMPLES, np.float32)) == []


def test_frames_stand_over_their_time(strip):
    sheet = draw_strip(strip)
    middles = [int(sheet[48, MARGIN + 96 * column + 48, 0]) // 10 for column in range(COLUMNS)]
    assert middles == [1, 3, 5, 7, 10, 12, 14, 17, 19, 21, 23]


def test_a_wave_is_drawn_to_its_peaks():
    drawn = draw_wave(np.array([0, 1, -1, 0.5], np.float32), 4, (0, 0, 0))
    heights = (drawn == 0).all(axis=2).sum(axis=0)
    assert list(heights) == [1, LANE // 2, LANE // 2, LANE // 4 + 1]


def test_clips_are_below_each_other(strip):
    one, two = contact_sheet([strip]), contact_sheet([strip, strip])
    assert two.shape == (2 * one.shape[0], *one.shape[1:])
    np.testing.assert_array_equal(two[: len(one)], one)
