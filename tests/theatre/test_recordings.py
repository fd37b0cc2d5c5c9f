"""Real sounds in the theatre: a share of the clips, what mouths and props do under them, and what tests keep apart."""

import dataclasses

import numpy as np
import pytest

from mtv_jax.theatre import SoundLibrary, TheatreConfig, plan_clip, render_clip
from mtv_jax.theatre.plan import PROPS
from mtv_jax.theatre.recordings import EFFECT_SHARE, SPEECH_SHARE
from mtv_jax.theatre.sounds import loudness, perform

RATE = 16000
EVERYTHING = TheatreConfig(actors=(0, 1, 0), speech=1, prop=1, effects=1, music=1)
TRAINING, HELD_OUT = SoundLibrary.training(), SoundLibrary.held_out()


def waves(library):
    return [*library.voices, *(wave for prop in PROPS for wave in library.strikes[prop])]


def with_prop(plan, prop):
    return dataclasses.replace(plan, prop=dataclasses.replace(plan.prop, name=prop))


def contains(whole, part):
    """Whether some second of `part` is in `whole` at any level: the greatest normalised correlation is near 1."""
    size = 1 << int(np.ceil(np.log2(len(whole) + len(part))))
    found = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)
    sums = np.cumsum(np.pad(whole.astype(np.float64) ** 2, (1, len(part))))
    local = np.sqrt(np.maximum(sums[len(part) :] - sums[: -len(part)], 1e-6))
    return (found[: len(local)] / local).max() / np.linalg.norm(part) > 0.9


def test_a_share_of_the_clips_is_real_and_the_others_are_as_without_recordings():
    real = {"speech": 0, "effects": 0, "music": 0}
    count = 200
    for index in range(count):
        plan = plan_clip(11, index, EVERYTHING)
        with_library, without = perform(plan, TRAINING), perform(plan)
        for name in real:
            real[name] += not np.array_equal(with_library.tracks[name], without.tracks[name])
    assert real["speech"] / count == pytest.approx(SPEECH_SHARE, abs=0.08)
    assert real["effects"] / count == pytest.approx(EFFECT_SHARE, abs=0.08)
    assert real["music"] == 0


def test_the_same_clip_has_the_same_sounds():
    for index in range(6):
        first, again = (render_clip(5, index, recordings=SoundLibrary.training()) for _ in range(2))
        np.testing.assert_array_equal(first.tracks["mix"], again.tracks["mix"])
        np.testing.assert_array_equal(first.frames, again.frames)
    assert SoundLibrary.training().identity == TRAINING.identity != HELD_OUT.identity


def test_held_out_sounds_share_no_samples_with_those_for_training():
    for held in waves(HELD_OUT):
        loudest = int(np.argmax(np.convolve(held**2, np.ones(RATE // 10), "valid")))
        part = held[loudest : loudest + RATE // 10]
        assert contains(held, part)
        assert not any(contains(wave, part) for wave in waves(TRAINING))


@pytest.mark.parametrize("library", [TRAINING, HELD_OUT], ids=["training", "held out"])
def test_every_prop_has_strikes_that_begin_at_once(library):
    for prop in PROPS:
        assert library.strikes[prop]
        for wave in library.strikes[prop]:
            assert np.abs(wave[:80]).max() >= 0.1
            assert np.abs(wave).max() == pytest.approx(0.95, abs=1e-3)


def test_the_mouth_follows_the_real_voice_that_is_heard():
    for index in range(8):
        clip = render_clip(6, index, EVERYTHING, HELD_OUT)
        heard = loudness(clip.tracks["speech"], 25, EVERYTHING.fps)
        np.testing.assert_array_equal(clip.truth.envelope, heard)
        np.testing.assert_array_equal(clip.truth.openings[0], heard)
        # As loud as synthetic voices: it opens the mouth wide, and shuts it nearly.
        assert heard.max() > 0.8
        assert heard.min() < 0.45


def test_a_voice_fills_clips_longer_than_its_recording():
    wave = HELD_OUT.speech(np.random.default_rng(0), 30 * RATE)
    assert len(wave) == 30 * RATE
    assert all(np.abs(second).max() > 0.02 for second in wave.reshape(-1, RATE))


@pytest.mark.parametrize("prop", PROPS)
def test_real_strikes_are_heard_when_the_prop_is_struck(prop):
    for index in range(4):
        plan = with_prop(plan_clip(9, index, EVERYTHING), prop)
        track = perform(plan, HELD_OUT).tracks["effects"]
        starts = [round(onset * RATE) for onset in plan.prop.onsets]
        assert np.flatnonzero(track)[0] in range(starts[0], starts[0] + 2)
        for start in starts:
            before, after = (
                np.abs(track[part]).max() for part in (slice(start - 160, start), slice(start, start + 160))
            )
            assert after > 2 * before
