"""Sound that is one file: what was lost on the way from a mix to its tracks. All found by measuring the theatre."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate

import mtv_jax
from mtv_jax.audio import tracks as tracks_module
from mtv_jax.audio.loudness import normalize_speech
from mtv_jax.audio.separation.base import Context
from mtv_jax.audio.separation.restore import restore_speech
from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.separators import find_separator
from mtv_jax.audio.tracks import load_tracks
from mtv_jax.evaluation.theatre.mixed import RAW, check_mixed, mixed_tracks
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE
from tests.separators import FunctionSeparator

VOICE = Path(mtv_jax.__file__).parent / "assets/sounds/held_out/speech/b.flac"


@pytest.fixture(scope="module")
def voice():
    """Two seconds of recorded speech that begin in the midst of a word."""
    return read_audio(VOICE, TRACK_RATE)[TRACK_RATE : 3 * TRACK_RATE]


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.fixture(scope="module")
def speech(voice):
    """What DeepFilterNet3 makes of the voice alone."""
    return separate(voice, TRACK_RATE, find_separator("dfn3")).tracks["speech"]


def test_speech_is_heard_from_the_first_moment(voice, speech):
    """Source: theatre clips; the first .3 s of a separated clip lost 27 dB."""
    first = slice(round(0.3 * TRACK_RATE))
    assert rms(speech[first]) > 0.9 * rms(voice[first])
    # By Fourier transforms: BLAS's threads spin in direct sums of this length.
    assert np.argmax(correlate(speech, voice, method="fft")) == len(voice) - 1  # in time to the sample


def test_a_voice_alone_is_given_back_whole(voice, speech):
    """Source: theatre clips; separated speech had half its level."""
    assert rms(speech) == pytest.approx(rms(voice), rel=0.05)
    assert rms(speech - voice) < 0.3 * rms(voice)


def test_what_an_enhancer_took_of_a_voice_is_given_back():
    time = np.arange(2 * TRACK_RATE)[:, None] / TRACK_RATE
    voice = np.sin(2 * np.pi * 200 * time) * (time < 1)
    restored = restore_speech(voice, 0.5 * voice, TRACK_RATE)
    assert rms(restored - voice) < 0.05 * rms(voice)
    silence = np.zeros_like(voice)
    np.testing.assert_array_equal(restore_speech(silence, silence, TRACK_RATE), 0)
    # Noise at -90 dBFS, in which there is no voice.
    noise = 3e-5 * np.random.default_rng(0).standard_normal(voice.shape)
    assert rms(restore_speech(noise, silence, TRACK_RATE)) < 0.01 * rms(noise)
    # Where the enhancer hears no voice there is none.
    assert rms(restore_speech(voice, 1e-4 * voice, TRACK_RATE)) < 1e-3 * rms(voice)


def test_a_part_of_a_file_is_cut_from_the_separated_whole(tmp_path, monkeypatch):
    """Source: found by reading; a part was cut out first, and separated without what is around it."""

    def sums(samples, sample_rate):
        past = np.cumsum(samples, axis=0) / len(samples)
        return {"speech": past, "effects": samples - past, "music": 0 * samples}

    monkeypatch.setattr(tracks_module, "find_separator", lambda *_: FunctionSeparator(sums))
    noise = np.random.default_rng(0).normal(0.1, 0.1, 3 * TRACK_RATE).astype(np.float32)
    write_audio(tmp_path / "mix.wav", noise, TRACK_RATE)
    files = {"audio": tmp_path / "mix.wav"}
    whole = load_tracks(files)
    part = load_tracks(files, duration=1.5)
    for name, samples in part.items():
        expected = whole[name][: round(1.5 * TRACK_RATE)]
        np.testing.assert_allclose(samples, expected, atol=1e-6)


def test_only_what_is_needed_of_a_long_file_is_separated():
    lengths = []

    def same(samples, sample_rate):
        lengths.append(len(samples))
        return {"speech": samples, "effects": 0 * samples, "music": 0 * samples}

    separator = FunctionSeparator(same, Context(section=4))
    tracks = separate(np.ones(4000, np.float32), 100, separator, end=250).tracks
    assert len(lengths) == 1
    assert tracks["speech"].shape == (250,)


def test_speech_of_any_level_opens_the_mouth_as_wide(voice, tmp_path):
    """Source: a newcomer's quiet recording; at a gain of .05 lips hardly moved."""
    heard = {}
    for gain in (0.05, 0.2, 1.0, 4.0):
        write_audio(tmp_path / f"{gain}.wav", voice * np.float32(gain), TRACK_RATE)
        heard[gain] = load_tracks({"speech": tmp_path / f"{gain}.wav"}, normalize_loudness=True)["speech"]
    np.testing.assert_allclose(heard[0.05], heard[0.2], atol=1e-4)
    np.testing.assert_allclose(heard[0.05], heard[4.0], atol=1e-4)
    # The level of training, near which all is left as it is.
    assert (
        0.7 < rms(heard[0.05]) / rms(normalize_speech(voice * np.float32(0.1 / rms(voice)), TRACK_RATE)) < 1.4
    )
    own = heard[0.05] * np.float32(1.3)
    np.testing.assert_array_equal(normalize_speech(own, TRACK_RATE), own)


def test_steady_noise_is_not_raised():
    noise = np.random.default_rng(0).normal(0, 1, TRACK_RATE).astype(np.float32)
    for samples in (0.004 * noise, 0.02 * noise, noise[:0]):
        np.testing.assert_array_equal(normalize_speech(samples, TRACK_RATE), samples)


def test_what_is_too_quiet_for_speech_is_silence(voice):
    """Found by measuring: traces of music at -60 dBFS in the track of speech were raised to its level."""
    noise = np.random.default_rng(0).normal(0, 1, TRACK_RATE).astype(np.float32)
    swelling = noise * np.linspace(0.2, 1, TRACK_RATE, dtype=np.float32)  # 11 dB from quiet to loud
    for samples, level in ((noise, -56), (swelling, -56), (noise, -60), (voice, -64)):
        faint = samples * np.float32(10 ** (level / 20) / rms(samples))
        silent = normalize_speech(faint, TRACK_RATE)
        assert not silent.any()
        assert len(silent) == len(faint)
    assert not normalize_speech(noise[:5], TRACK_RATE).any()


def test_a_short_word_in_a_long_silence_is_as_loud_as_alone(voice):
    """Found by attack: a quantile over pauses, too, made .6 s in 10 s of silence 18 dB too loud."""
    word = voice[: TRACK_RATE // 2]
    alone = normalize_speech(word * np.float32(0.1), TRACK_RATE)
    silence = np.zeros(9 * TRACK_RATE, np.float32)
    among = normalize_speech(np.concatenate([word * np.float32(0.1), silence]), TRACK_RATE)
    np.testing.assert_allclose(among[: len(word)], alone, atol=0.05 * np.abs(alone).max())


def test_what_leaked_into_a_voice_is_not_raised(voice):
    """Found by attack: of a mix without speech traces are in the speech track, which are no quiet voice."""
    leaked = voice * np.float32(0.05)
    np.testing.assert_array_equal(normalize_speech(leaked, TRACK_RATE, mix=np.roll(voice, 500)), leaked)
    quiet = normalize_speech(leaked, TRACK_RATE, mix=2 * leaked)
    np.testing.assert_array_equal(quiet, normalize_speech(leaked, TRACK_RATE))
    assert rms(quiet) > 5 * rms(leaked)


def test_the_suite_hears_mixes():
    tracks = {
        name: np.full(TRACK_RATE, level, np.float32) for name, level in zip("abc", (1, 2, 4), strict=True)
    }
    assert mixed_tracks(tracks, None) == tracks
    for samples in mixed_tracks(tracks, RAW).values():
        np.testing.assert_array_equal(samples, 7)
    with pytest.raises(UserError, match="no such separator"):
        check_mixed("magic")
