"""Tracks: silence for what is missing, one length, and the sound to mux."""

import numpy as np
import pytest

from mtv_jax.audio import tracks as module
from mtv_jax.audio.demix import DemixResult
from mtv_jax.audio.tracks import load_tracks, read_mix
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.typing import TRACK_RATE


def sine(seconds, rate, level=0.3):
    return (level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def files(tmp_path):
    write_audio(tmp_path / "speech.wav", sine(1.0, 16000), 16000)
    write_audio(tmp_path / "music.flac", np.stack([sine(2.0, 44100)] * 2, axis=1), 44100)
    return {"speech": tmp_path / "speech.wav", "music": tmp_path / "music.flac"}


def test_a_missing_track_is_silence_and_all_are_as_long(files):
    tracks = load_tracks(**files)
    assert {name: len(samples) for name, samples in tracks.items()} == dict.fromkeys(
        ("speech", "effects", "music"), 32000
    )
    assert not tracks.effects.any()
    assert not tracks.speech[16000:].any()
    np.testing.assert_array_equal(tracks.mix, tracks.speech + tracks.music)
    assert tracks.duration == 2.0


def test_start_and_duration_cut_and_pad(files):
    tracks = load_tracks(speech=files["speech"], start=0.5, duration=1.5)
    assert len(tracks.speech) == 24000
    np.testing.assert_array_equal(tracks.speech[:8000], sine(1.0, 16000)[8000:])
    assert not tracks.speech[8000:].any()
    assert not load_tracks(duration=1.0).mix.any()


def test_tracks_may_keep_their_own_lengths(files):
    tracks = load_tracks(**files, pad=False)
    assert {name: len(samples) for name, samples in tracks.items()} == {
        "speech": 16000,
        "effects": 32000,
        "music": 32000,
    }


def test_a_second_speaker_is_a_track_of_a_model_for_two(files):
    tracks = load_tracks(speech=files["speech"], speech2=files["music"], num_speakers=2)
    assert [name for name, _ in tracks.items()] == ["speech", "speech2", "effects", "music"]
    np.testing.assert_array_equal(tracks.mix, tracks.speech + tracks.speech2)
    assert not load_tracks(speech=files["speech"], num_speakers=2).speech2.any()
    assert load_tracks(speech=files["speech"]).speech2 is None
    with pytest.raises(UserError, match=r"speech2 .*music\.flac: this model has one speaker"):
        load_tracks(speech2=files["music"])
    with pytest.raises(UserError, match="audio and speech2: .*not both"):
        load_tracks(audio=files["speech"], speech2=files["music"], num_speakers=2)


def test_nothing_or_too_much_is_refused(files):
    with pytest.raises(UserError, match="no sound: give"):
        load_tracks()
    with pytest.raises(UserError, match="not both"):
        load_tracks(audio=files["speech"], music=files["music"])
    with pytest.raises(UserError, match="no such demixer"):
        load_tracks(audio=files["speech"], demixer="magic")


def test_a_mix_is_separated_at_its_own_rate(files, monkeypatch):
    seen = {}

    def halves(samples, sample_rate, demixer, *, end):
        seen.update(rate=sample_rate, shape=samples.shape, demixer=demixer, end=end)
        parts = {"speech": samples / 2, "effects": samples / 4, "music": samples / 4}
        return DemixResult(parts, sample_rate, {})

    monkeypatch.setattr(module, "demix", halves)
    tracks = load_tracks(audio=files["music"], duration=1.0)
    # All of the file is heard, and cut then.
    assert seen == {"rate": 44100, "shape": (88200,), "demixer": "dfn3+hpss", "end": 44100}
    assert len(tracks.speech) == TRACK_RATE
    np.testing.assert_allclose(tracks.mix[100:-100], sine(1.0, 16000)[100:-100], atol=2e-3)


def test_the_mix_to_mux_is_the_file_itself_or_the_sum(files):
    mix = read_mix(audio=files["music"], sample_rate=44100)
    np.testing.assert_allclose(mix, np.stack([sine(2.0, 44100)] * 2, axis=1), atol=1e-6)
    mix = read_mix(**files, sample_rate=16000, duration=3.0)
    assert mix.shape == (48000, 2)
    np.testing.assert_allclose(mix[100:15900, 0], 2 * sine(1.0, 16000)[100:15900], atol=2e-3)
    assert not mix[33000:].any()


def test_too_loud_a_sum_is_turned_down_not_clipped(tmp_path):
    loud = sine(1.0, 16000, level=0.9)
    for name in ("speech", "effects"):
        write_audio(tmp_path / f"{name}.wav", loud, 16000)
    mix = read_mix(speech=tmp_path / "speech.wav", effects=tmp_path / "effects.wav", sample_rate=16000)
    assert np.abs(mix).max() == pytest.approx(0.99)
    np.testing.assert_allclose(mix[:, 0], loud * (0.99 / np.abs(loud).max()), atol=1e-6)
