"""The default separator at odd sounds: of any rate, length, level and number of channels, tracks add up to the mix."""

import numpy as np
import pytest

from mtv_jax.audio.separation import deepfilternet
from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR, find_separator
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACKS


def noise(samples, channels):
    return np.random.default_rng(0).normal(0, 0.1, (samples, channels)).astype(np.float32)


def separated(mix, rate):
    """The tracks, which are finite and add up to the mix."""
    tracks = separate(mix, rate, find_separator(DEFAULT_SEPARATOR)).tracks
    assert tuple(tracks) == TRACKS
    for track in tracks.values():
        assert (track.shape, track.dtype) == (mix.shape, np.float32)
        assert np.isfinite(track).all()
    loudest = max(float(np.abs(mix).max(initial=0)), 1e-9)
    np.testing.assert_allclose(sum(tracks.values()), mix, atol=1e-6 * loudest)
    return tracks


@pytest.fixture
def cheap_enhancer(monkeypatch):
    """In place of the network, of which each channel loads a copy: half of a channel is speech."""
    monkeypatch.setattr(deepfilternet, "_extract_channel", lambda channel: channel / 2)


@pytest.mark.parametrize(("samples", "rate"), [(2000, 8000), (24_000, 192_000), (100, 48_000)])
def test_any_sample_rate_and_sounds_shorter_than_a_frame(samples, rate):
    separated(noise(samples, 1), rate)


@pytest.mark.usefixtures("cheap_enhancer")
@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_not_mixed(channels):
    """Stereo and 5.1, of which only the last channel has sound."""
    mix = noise(8000, channels) * (np.arange(channels) == channels - 1)
    tracks = separated(mix.astype(np.float32), 48_000)
    for track in tracks.values():
        np.testing.assert_array_equal(track[:, :-1], 0)
    assert np.abs(tracks["speech"][:, -1]).max() > 0.05


@pytest.mark.usefixtures("cheap_enhancer")
@pytest.mark.parametrize("shape", [(0,), (0, 2), (1,), (1, 6)])
@pytest.mark.parametrize("rate", [8000, 192_000])
def test_no_sample_and_one(shape, rate):
    separated(np.full(shape, 0.1, np.float32), rate)


def test_silence_has_silent_tracks():
    for track in separated(np.zeros(4000, np.float32), 16_000).values():
        np.testing.assert_array_equal(track, 0)


def test_sound_that_clips_or_is_above_full_scale():
    separated(np.clip(30 * noise(4000, 1), -1, 1), 16_000)
    separated(30 * noise(4000, 1), 16_000)


@pytest.mark.usefixtures("cheap_enhancer")
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_samples_that_are_not_finite_are_refused(value):
    """They would be in every sample of all tracks."""
    mix = noise(4000, 1)
    mix[3000] = value
    with pytest.raises(UserError, match="the mix has samples that are not finite"):
        separate(mix, 16_000, find_separator(DEFAULT_SEPARATOR))
