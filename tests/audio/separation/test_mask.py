"""The learned mask: struck sounds are effects, at any rate and in any channel; without any it is silent."""

import numpy as np
import pytest

from mtv_jax.audio.separation.hpss import HPSS
from mtv_jax.audio.separation.mask import LearnedMask, effects_mask
from mtv_jax.io.levels import rms_dbfs

RATE = 16000


def organ(seconds, rate=RATE):
    """A steady chord."""
    t = np.arange(round(seconds * rate)) / rate
    return np.sum([0.05 * np.sin(2 * np.pi * hz * t) for hz in (220, 277, 330, 440)], 0).astype(np.float32)


def bell(seconds, rate=RATE):
    """A bell struck every second: its ring is no click, so a percussive mask loses it."""
    t, track = np.arange(round(0.8 * rate)) / rate, np.zeros(round(seconds * rate), np.float32)
    ring = sum(np.sin(2 * np.pi * hz * t) * np.exp(-t / 0.2) for hz in (830, 1330, 2390, 3170))
    for start in range(rate // 4, len(track) - len(ring), rate):
        track[start : start + len(ring)] += 0.1 * ring
    return track


def error(estimate, truth):
    """Relative to the truth."""
    return np.linalg.norm(estimate - truth) / np.linalg.norm(truth)


def test_a_bell_is_an_effect_and_an_organ_is_music():
    rest = bell(4) + organ(4)
    effects = LearnedMask().effects(rest[:, None], RATE)[:, 0]
    percussive = HPSS().effects(rest[:, None], RATE)[:, 0]
    assert error(effects, bell(4)) < 0.8 * error(percussive, bell(4))
    assert error(rest - effects, organ(4)) < 0.8 * error(rest - percussive, organ(4))
    alone = LearnedMask().effects(organ(4)[:, None], RATE)[:, 0]
    assert rms_dbfs(alone) < rms_dbfs(organ(4)) - 20


def test_channels_are_masked_alike_and_what_is_above_the_network_follows_its_highest_bins():
    rate = 48000
    noise = np.zeros(4 * rate, np.float32)
    for start in range(rate // 2, len(noise), rate):
        burst = np.random.default_rng(start).normal(0, 0.2, rate // 20)
        noise[start : start + len(burst)] = burst * np.linspace(1, 0, len(burst))
    hum = organ(4, rate)
    rest = np.stack([noise + hum, 0.5 * (noise + hum)], axis=1)
    effects = LearnedMask().effects(rest, rate)
    np.testing.assert_allclose(effects[:, 1], 0.5 * effects[:, 0], atol=1e-5)
    high = np.abs(np.fft.rfft(effects[:, 0]))[4 * 9000 :]  # 9 kHz and above
    assert np.linalg.norm(high) > 0.8 * np.linalg.norm(np.abs(np.fft.rfft(noise))[4 * 9000 :])


def test_a_part_of_a_sound_is_masked_as_in_the_whole():
    """With the context that it asks for; exactly where windows fall on the same samples, else nearly."""
    rest = (bell(14) + organ(14))[:, None]
    whole = LearnedMask().effects(rest, RATE)
    context = round(LearnedMask.context.past * RATE)
    for first, most in ((4 * RATE, 1e-5), (4 * RATE + 100, 0.15)):
        part = LearnedMask().effects(rest[first - context : first + 4 * RATE + context], RATE)
        assert error(part[context:-context], whole[first : first + 4 * RATE]) < most


@pytest.mark.parametrize("samples", [1, 300])
def test_very_short_sounds(samples):
    for rate in (RATE, 44100):
        effects = LearnedMask().effects(np.full((samples, 2), 0.1, np.float32), rate)
        assert effects.shape == (samples, 2)
        assert np.isfinite(effects).all()


def test_silence_has_no_effects_and_its_card_has_the_weights_hash():
    assert not LearnedMask().effects(np.zeros((RATE, 1), np.float32), RATE).any()
    assert effects_mask(np.zeros((3, 257), np.float32)).shape == (3, 257)
    card = LearnedMask().card()
    assert (card.fidelity, len(card.weights)) == ("learned here", 64)
