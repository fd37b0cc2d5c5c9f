"""Log-mel features: exact time, known levels, silence."""

import numpy as np
import pytest

from mtv_jax.models.mel import MelConfig, log_mel_features
from mtv_jax.models.mel.model import _filters

RATE = 16000
CONFIG = MelConfig()


def energy(features):
    """Mean square of each sub-frame [F, L], undoing the scale."""
    return (10 ** ((features.astype(np.float64) - 1) * -CONFIG.floor_db / 20)).sum(-1)


@pytest.mark.parametrize("fps", [24, 23.976, 8, 25, 29.97])
def test_a_click_peaks_in_the_sub_frame_that_covers_it(fps):
    for frame, subframe in [(0, 0), (3, 2), (17, 1), (23, 3)]:
        moment = (frame + (subframe + 0.5) / CONFIG.subframes) / fps
        wave = np.zeros(round(24 / fps * RATE), np.float32)
        wave[round(moment * RATE)] = 1
        levels = energy(log_mel_features(wave, 24, fps, CONFIG))
        assert np.unravel_index(levels.argmax(), levels.shape) == (frame, subframe)


def test_bands_add_up_to_the_mean_square():
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)
    levels = energy(log_mel_features(noise, 240, 24, CONFIG))
    assert levels[1:-1].mean() == pytest.approx(np.mean(noise**2), rel=0.03)


def test_a_full_scale_sine_is_in_range_and_in_its_band():
    wave = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    features = log_mel_features(wave, 24, 24, CONFIG)
    assert energy(features)[2:-2] == pytest.approx(0.5, rel=0.02)
    assert 0.8 < features.max() <= 0.94
    assert features[5, 0, 40:].max() < 0  # bands far from the tone


def test_silence_is_minus_one():
    features = log_mel_features(np.zeros(RATE, np.float32), 24, 24, CONFIG)
    assert features.shape == (24, 4, 64)
    assert features.dtype == np.float32
    assert np.all(features == -1)
    assert np.all(log_mel_features(np.zeros(0, np.float32), 5, 24, CONFIG) == -1)


def test_short_sound_is_padded_and_long_sound_is_cut():
    noise = np.random.default_rng(1).normal(0, 0.1, 3 * RATE).astype(np.float32)
    one_second = log_mel_features(noise[:RATE], 24, 24, CONFIG)
    np.testing.assert_array_equal(log_mel_features(noise, 24, 24, CONFIG), one_second)
    longer = log_mel_features(noise[:RATE], 48, 24, CONFIG)
    np.testing.assert_array_equal(longer[:23], one_second[:23])
    assert np.all(longer[25:] == -1)


def test_long_sound_is_the_same_in_blocks():
    noise = np.random.default_rng(2).normal(0, 0.1, 50 * RATE).astype(np.float32)
    whole = log_mel_features(noise, 1200, 24, CONFIG)  # 4800 windows: two blocks
    part = log_mel_features(noise[: 30 * RATE], 720, 24, CONFIG)
    np.testing.assert_allclose(whole[:719], part[:719], atol=1e-5)


def test_filters_are_slaneys():
    from librosa.filters import mel

    theirs = mel(sr=RATE, n_fft=512, n_mels=64, fmin=20.0, fmax=8000.0, norm=None)
    np.testing.assert_allclose(_filters(CONFIG), theirs.T, atol=1e-5)
    assert np.all(_filters(CONFIG).sum(0) > 0)


def test_tiny_is_small():
    assert log_mel_features(np.zeros(RATE, np.float32), 9, 8, MelConfig.tiny()).shape == (9, 2, 16)
