"""The separators' benchmark measures what it says."""

import numpy as np
import pytest

from benchmarks import separation_metrics as metrics

RATE = 16000


def noise(seed, seconds=1.0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))


def test_si_sdr_is_the_ratio_of_what_was_mixed_whatever_the_scale():
    truth, other = noise(0), noise(1)
    other -= truth * (other @ truth) / (truth @ truth)
    mix = truth + other * np.linalg.norm(truth) / np.linalg.norm(other) * 10 ** (-7 / 20)
    assert metrics.si_sdr(mix, truth) == pytest.approx(7)
    assert metrics.si_sdr(3 * mix, truth) == pytest.approx(7)
    assert metrics.si_sdr(0 * mix, truth) == pytest.approx(-30)


def test_leakage_is_the_gain_of_each_true_track():
    truths = {"speech": noise(2), "effects": noise(3), "music": 0 * noise(4)}
    found = metrics.leakage(0.5 * truths["speech"] + 0.01 * truths["effects"], truths)
    assert found == {"speech": pytest.approx(-6.02, abs=0.1), "effects": pytest.approx(-40, abs=1)}


def test_delay_is_signed_and_in_samples():
    truth = noise(5)
    for late in (0, 37, -37):
        assert metrics.delay(np.roll(truth, late), truth) == late


def test_onsets_are_matched_once_within_a_frame():
    assert metrics.onset_counts([0.5, 0.53, 2.0], [0.51, 1.0]) == (1, 3, 2)
    assert metrics.onset_counts([1.0 + 1 / 24], [1.0]) == (1, 1, 1)
    assert metrics.onset_counts([1.0 + 2.1 / 24], [1.0]) == (0, 1, 1)


def test_loudness_is_followed_frame_by_frame():
    swell = noise(6) * np.linspace(0, 1, RATE)
    assert metrics.envelope_correlation(swell, swell * 0.1) == pytest.approx(1)
    assert metrics.envelope_correlation(swell[::-1], swell) < -0.9
    assert len(metrics.frame_loudness(swell)) == 24


def test_the_best_leak_separates_what_it_can():
    below, silent = [40, 22, 18, 17, 5], [True, True, False, True, False]
    assert metrics.best_leak(below, silent) == 21  # of 18 to 21 dB, which are equally good, the greatest
    assert metrics.agreement([distance > 21 for distance in below], silent) == 0.8
    assert metrics.best_leak([40, 3], [True, False]) == metrics.MOST_LEAK_DB
    assert metrics.best_leak(below, [False] * 5) is None
