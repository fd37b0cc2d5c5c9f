"""Pictures of tracks: what is loud when is seen there, the mix is the sum, memory does not grow with length."""

import numpy as np
import pytest
import soundfile

from mtv_jax.audio.separation import pictures
from mtv_jax.audio.separation.pictures import draw_tracks, measure

RATE = 8000


def tone(hertz, seconds):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


@pytest.fixture
def files(tmp_path):
    """A tone at 1 kHz in the first half, at half scale, and one strike at .75 s; two channels of opposite phase."""
    steady = np.concatenate([tone(1000, 0.5) / 2, np.zeros(RATE // 2, np.float32)])
    strike = np.zeros(RATE, np.float32)
    strike[6000] = -0.25
    paths = {}
    for name, track in {"speech": steady, "effects": strike}.items():
        paths[name] = tmp_path / f"{name}.flac"
        soundfile.write(paths[name], np.stack([track, -track], axis=1), RATE, subtype="PCM_24")
    return paths


def test_waves_show_every_sample_and_the_mix_is_the_sum(files):
    lanes = measure(files, 20)
    assert lanes.names == ("mix", "speech", "effects")
    assert lanes.seconds == 1
    np.testing.assert_allclose(lanes.high[1], [0.5] * 10 + [0] * 10, atol=0.01)
    np.testing.assert_allclose(lanes.low[2], [0] * 15 + [-0.25] + [0] * 4, atol=1e-6)
    np.testing.assert_allclose(lanes.high[0], lanes.high[1] + lanes.high[2], atol=1e-6)


def test_levels_are_in_their_rows_columns_and_decibels(files):
    levels = measure(files, 20).levels
    loudest = levels[1].max(axis=0)
    np.testing.assert_allclose(loudest[1:9], -6, atol=0.1)  # half scale; opposite channels do not cancel
    assert loudest[11:].max() < -100
    row = levels[1, :, 5].argmax()
    edges = np.geomspace(RATE / 2, 50, levels.shape[1] + 1)
    assert edges[row + 1] * 0.95 <= 1000 <= edges[row] * 1.05
    assert levels[2].mean(axis=0).argmax() == 15
    np.testing.assert_array_equal(levels[0, :, 2:8], levels[1, :, 2:8])


def test_a_column_of_a_long_file_is_read_up_to_a_limit(files, monkeypatch):
    assert measure(files, 1).low[2] == -0.25
    monkeypatch.setattr(pictures, "_MOST_SAMPLES", 1000)
    part = measure(files, 1)
    assert part.low[2] == 0
    np.testing.assert_allclose(part.high[1], 0.5, atol=0.01)


def test_small_blocks_give_the_same(files, monkeypatch):
    whole = measure(files, 50)
    monkeypatch.setattr(pictures, "_BLOCK", 700)
    np.testing.assert_array_equal(measure(files, 50).levels, whole.levels)


def test_pictures_have_one_size_whatever_the_sound(files, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_WIDTH", 40)
    soundfile.write(tmp_path / "short.wav", np.zeros((1, 1)), 1000)
    short = {"speech": tmp_path / "short.wav", "rest": tmp_path / "short.wav"}
    assert draw_tracks(short).shape == draw_tracks(files).shape


@pytest.mark.parametrize("seconds", [0, 0.001, 0.5, 59, 61, 3599, 100_000])
def test_the_time_axis_has_a_few_labels(seconds, monkeypatch):
    texts = []

    class Draw:
        def line(self, *_, **__): ...

        def text(self, place, text, **_):
            texts.append((place[0], text))

    monkeypatch.setattr(pictures.ImageDraw, "ImageDraw", Draw)
    pictures._label_seconds.__wrapped__(Draw(), 0, seconds)
    *ticks, (_, unit) = texts
    assert 1 <= len(ticks) <= 14
    assert ticks[0][1] in ("0", "0:00:00")
    assert unit == ("time, s" if seconds <= 60 else "time, h:min:s")
    assert len({place for place, _ in ticks}) == len(ticks)
