"""The theatre's sounds: voices, strikes and chords that can be distinguished, and real ones in their place."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.theatre import TheatreConfig, plan_clip, render_clip
from mtv_jax.theatre.effects import strike
from mtv_jax.theatre.music import play
from mtv_jax.theatre.plan import PROPS, TIMBRES
from mtv_jax.theatre.sounds import SPEECH_LEVEL, loudness, perform
from mtv_jax.theatre.speech import Voice, speak
from mtv_jax.theatre.stage import Mood

RATE = 16000
EVERYTHING = TheatreConfig(actors=(0, 1, 0), speech=1, prop=1, effects=1, music=1)


def rng():
    return np.random.default_rng(0)


def spectrum(wave):
    """Power by frequency in Hz."""
    return np.fft.rfftfreq(len(wave), 1 / RATE), np.abs(np.fft.rfft(wave)) ** 2


def centroid(wave):
    frequencies, power = spectrum(wave)
    return float((frequencies * power).sum() / power.sum())


def test_loudness_is_the_level_of_each_frame():
    wave = np.zeros(RATE)
    wave[4000:8000] = SPEECH_LEVEL
    wave[8000:12000] = SPEECH_LEVEL * 0.25
    heard = loudness(wave, 4, Fraction(4))
    np.testing.assert_allclose(heard, [0, 1, 0.25**0.6, 0])
    assert loudness(10 * wave, 4, Fraction(4)).max() == 1


@pytest.mark.parametrize("pitch", [110.0, 220.0])
def test_voices_have_their_pitch_and_pauses(pitch):
    wave = speak(rng(), Voice(pitch, 1.0), 3 * RATE, RATE)
    assert (wave == 0).mean() > 0.05
    # The strongest repetition within 60 to 400 Hz of a loud stretch is the pitch.
    middle = int(np.argmax(np.convolve(wave**2, np.ones(1600), "same")))
    piece = wave[middle - 800 : middle + 800]
    repeats = np.correlate(piece, piece, "full")[len(piece) - 1 :]
    lag = 40 + int(np.argmax(repeats[40:266]))
    assert RATE / lag == pytest.approx(pitch, rel=0.1)


def test_a_loud_syllable_has_the_requested_level():
    levels = loudness(SPEECH_LEVEL * speak(rng(), Voice(120.0, 1.0), 10 * RATE, RATE), 120, Fraction(12))
    assert 0.8 < np.quantile(levels, 0.99) <= 1
    assert levels.min() == 0


def test_a_larger_formant_scale_is_a_brighter_voice():
    low, high = (speak(rng(), Voice(140.0, scale), 3 * RATE, RATE) for scale in (1.0, 1.25))
    assert centroid(high) > centroid(low) * 1.05


def test_strikes_begin_at_once_and_differ_by_prop():
    waves = {prop: strike(rng(), prop, RATE) for prop in PROPS}
    for wave in waves.values():
        early = (wave[: RATE // 12] ** 2).sum()
        assert np.abs(wave[:80]).max() > 0.1 * np.abs(wave).max()
        assert early > 0.15 * (wave**2).sum()
    low, high = centroid(waves["drum"]), centroid(waves["bell"])
    assert low < 400 < high
    # The bell rings longest.
    lasting = {prop: (wave[RATE // 5 :] ** 2).sum() / (wave**2).sum() for prop, wave in waves.items()}
    assert max(lasting, key=lambda prop: lasting[prop]) == "bell"


@pytest.mark.parametrize("timbre", TIMBRES)
def test_music_tells_valence_by_register_and_energy_by_level_and_brightness(timbre):
    def heard(valence, energy):
        wave = play(rng(), Mood(valence, energy), timbre, 2 * RATE, RATE)
        frequencies, power = spectrum(wave)
        lowest = frequencies[np.flatnonzero(power > 0.05 * power.max())[0]]
        return lowest, 20 * np.log10(np.sqrt(np.mean(wave**2))), centroid(wave)

    registers = [heard(v, 0.5)[0] for v in (0.1, 0.4, 0.7, 1.0)]
    assert (np.diff(registers) > 0).all()
    levels, brightness = zip(*[heard(0.5, e)[1:] for e in (0.0, 0.5, 1.0)], strict=True)
    np.testing.assert_allclose(levels, [-36, -29, -22], atol=0.01)
    assert (np.diff(brightness) > 0).all()


def test_glad_music_is_major_and_sad_minor():
    for valence, third in ((0.6, 4), (0.4, 3)):
        mood = Mood(valence, 0.0)
        # The first beat at 60 a minute, whatever its chord: a third above its lowest note.
        frequencies, power = spectrum(play(rng(), mood, "organ", RATE, RATE) * np.hanning(RATE))
        bottom = 440 * 2 ** ((40 + 26 * valence - 69) / 12)
        best = {}
        for step in (0, 5, -5):
            for interval in (3, 4):
                pitch = bottom * 2 ** ((step + interval) / 12)
                best[step, interval] = power[np.abs(frequencies - pitch) < 2].sum()
        assert max(best, key=lambda key: best[key])[1] == third


def test_mix_is_the_sum_and_never_clipped():
    for index in range(12):
        tracks = perform(plan_clip(2, index)).tracks
        np.testing.assert_array_equal(tracks["mix"], tracks["speech"] + tracks["effects"] + tracks["music"])
        assert np.abs(tracks["mix"]).max() <= 1


class Tones:
    """Recordings: a voice of two bursts, a click for each strike but the bell's, music of a known mood."""

    def speech(self, rng, num_samples):
        wave = 0.01 * np.sin(2 * np.pi * 200 * np.arange(num_samples) / RATE)
        wave[num_samples // 4 : num_samples // 2] = 0
        return wave.astype(np.float32)

    def effect(self, rng, prop):
        return None if prop == "bell" else np.ones(200, np.float32)

    def music(self, rng, num_samples):
        return np.full(100, 0.1, np.float32), Mood(1.0, 0.0)


def test_recordings_take_the_place_of_synthetic_sounds():
    clip = render_clip(3, 0, EVERYTHING, Tones())
    quarter = 25 / 4
    frames = np.arange(25)
    quiet = (frames > quarter) & (frames < 2 * quarter - 1)
    assert not clip.truth.envelope[quiet].any()
    np.testing.assert_allclose(clip.truth.envelope[frames >= 2 * quarter], 1, atol=0.02)
    np.testing.assert_array_equal(clip.truth.openings[0], clip.truth.envelope)
    assert clip.truth.mood == {"valence": 1.0, "energy": 0.0}
    assert clip.tracks["music"][99] == pytest.approx(0.1)
    assert not clip.tracks["music"][100:].any()


def test_a_recording_that_is_missing_is_synthesised():
    plan = plan_clip(3, 0, EVERYTHING)
    bell = dataclasses.replace(plan, prop=dataclasses.replace(plan.prop, name="bell"))
    with_tones = perform(bell, Tones()).tracks["effects"]
    np.testing.assert_array_equal(with_tones, perform(bell).tracks["effects"])
    drum = dataclasses.replace(plan, prop=dataclasses.replace(plan.prop, name="drum"))
    struck = perform(drum, Tones()).tracks["effects"]
    assert np.count_nonzero(struck) == 200 * len(plan.prop.onsets)
