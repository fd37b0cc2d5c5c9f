"""Tracks: silence for what is missing, one length, and the sound to mux."""

import numpy as np
import pytest

from mtv_jax.audio import tracks as module
from mtv_jax.audio.separation.sections import Separated
from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR, find_separator
from mtv_jax.audio.tracks import by_track, check_persons, load_tracks, mix_sounds, mixed
from mtv_jax.io.audio import read_recording, write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE, control_tracks, person_of, track_label, track_name


def sine(seconds, rate, level=0.3):
    return (level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def files(tmp_path):
    write_audio(tmp_path / "speech.wav", sine(1.0, 16000), 16000)
    write_audio(tmp_path / "music.flac", np.stack([sine(2.0, 44100)] * 2, axis=1), 44100)
    return {"speech": tmp_path / "speech.wav", "music": tmp_path / "music.flac"}


def mix_of(files, sample_rate, duration):
    """The sound to mux beside a video, of files."""
    return mix_sounds({k: read_recording(v) for k, v in files.items()}, sample_rate, duration)


def test_a_missing_track_is_silence_and_all_are_as_long(files):
    tracks = load_tracks(files)
    assert {name: len(samples) for name, samples in tracks.items()} == dict.fromkeys(
        ("speech", "effects", "music"), 32000
    )
    assert not tracks["effects"].any()
    assert not tracks["speech"][16000:].any()
    np.testing.assert_array_equal(mixed(tracks.values()), tracks["speech"] + tracks["music"])


def test_duration_cuts_and_pads(files):
    tracks = load_tracks({"speech": files["speech"]}, duration=1.5)
    assert len(tracks["speech"]) == 24000
    np.testing.assert_array_equal(tracks["speech"][:16000], sine(1.0, 16000))
    assert not tracks["speech"][16000:].any()
    cut = load_tracks({"speech": files["speech"]}, duration=0.5)["speech"]
    np.testing.assert_array_equal(cut, sine(1.0, 16000)[:8000])
    assert not mixed(load_tracks({}, duration=1.0).values()).any()


def test_tracks_may_keep_their_own_lengths(files):
    tracks = load_tracks(files, pad=False)
    assert {name: len(samples) for name, samples in tracks.items()} == {
        "speech": 16000,
        "effects": 32000,
        "music": 32000,
    }


def test_a_file_is_decoded_once_and_of_a_long_one_only_the_beginning_is_kept(files):
    whole, start = read_recording(files["music"]), read_recording(files["music"], keep=0.5)
    assert whole.duration == start.duration == 2.0
    assert len(start.samples) == 22050
    np.testing.assert_array_equal(start.samples, whole.first(0.5).samples)
    for rate in (16000, 44100):
        np.testing.assert_array_equal(start.mono(rate), whole.first(0.5).mono(rate))


def test_further_speakers_are_tracks_of_a_model_that_takes_them(files):
    two = control_tracks(2)
    tracks = load_tracks({"speech": files["speech"], "speech2": files["music"]}, two)
    assert list(tracks) == ["speech", "speech2", "effects", "music"]
    np.testing.assert_array_equal(mixed(tracks.values()), tracks["speech"] + tracks["speech2"])
    assert not load_tracks({"speech": files["speech"]}, two)["speech2"].any()
    assert "speech2" not in load_tracks({"speech": files["speech"]})
    with pytest.raises(UserError, match=r"speech:Person2 .*music\.flac: this model has one speaker"):
        load_tracks({"speech2": files["music"]})
    with pytest.raises(UserError, match=r"speech:Person3 .*music\.flac: this model has 2 speakers"):
        load_tracks({"speech3": files["music"]}, two)
    with pytest.raises(UserError, match="audio and speech2: .*not both"):
        load_tracks({"audio": files["speech"], "speech2": files["music"]}, two)


def test_a_track_has_a_name_in_a_request_and_one_in_the_model():
    names = {"speech:Person1": "speech", "speech:Person2": "speech2", "speech:Person12": "speech12"}
    assert {name: track_name(name) for name in names} == names
    assert [track_label(track) for track in names.values()] == list(names)
    assert [person_of(track) for track in names.values()] == [1, 2, 12]
    for name in ("speech", "effects", "music", "audio", "speech3"):
        assert track_name(name) == name
    for name in ("effects", "music", "speech1", "speech0", "speech:Person1"):
        assert person_of(name) is None
        assert track_label(name) == name
    for name in (
        "speech:",
        "speech:Person",
        "speech:Person0",
        "speech:Person01",
        "speech:Bob",
        "music:Person1",
    ):
        assert track_name(name) is None
    assert control_tracks(3) == ("speech", "speech2", "speech3", "effects", "music")


def test_sounds_of_a_request_are_those_of_the_model_s_tracks():
    given = {"effects": 1, "speech:Person2": 2, "speech": 3}
    assert by_track(given) == {"effects": 1, "speech2": 2, "speech": 3}
    for names, message in {
        ("speech:Bob",): "speech:Bob: Bob is no speaker; they are Person1",
        ("speech:",): "speech:: nobody is no speaker",
        ("music:Person1",): "music:Person1: only speech is of a person; write music",
        ("speech", "speech:Person1"): "given twice; speech and speech:Person1 are the same track",
    }.items():
        with pytest.raises(UserError, match=message):
            by_track(dict.fromkeys(names, 0))


def test_a_gap_in_the_numbers_of_speakers_is_refused_unless_the_text_has_that_person():
    check_persons(["effects", "music"])
    check_persons(["speech", "speech2", "effects"])
    with pytest.raises(
        UserError, match="speech of Person1, Person3: Person2 has none and is not in the text"
    ):
        check_persons(["speech", "speech3"])
    check_persons(["speech", "speech3"], described=(1, 2, 3))
    with pytest.raises(UserError, match="speech of Person2: Person1 has none"):
        check_persons(["speech2"], described=(2,))


def test_nothing_or_too_much_is_refused(files):
    with pytest.raises(UserError, match="no sound: give"):
        load_tracks({})
    with pytest.raises(UserError, match="not both"):
        load_tracks({"audio": files["speech"], "music": files["music"]})
    with pytest.raises(UserError, match="no such separator"):
        load_tracks({"audio": files["speech"]}, separator="magic")


def test_a_mix_is_separated_at_its_own_rate(files, monkeypatch):
    seen = {}

    def halves(samples, sample_rate, separator, *, end):
        seen.update(rate=sample_rate, shape=samples.shape, separator=separator, end=end)
        parts = {"speech": samples / 2, "effects": samples / 4, "music": samples / 4}
        return Separated(parts, sample_rate, {})

    monkeypatch.setattr(module, "separate", halves)
    tracks = load_tracks({"audio": files["music"]}, duration=1.0)
    # The whole file is given, and its tracks are cut.
    default = find_separator(DEFAULT_SEPARATOR)
    assert seen == {"rate": 44100, "shape": (88200,), "separator": default, "end": 44100}
    assert len(tracks["speech"]) == TRACK_RATE
    np.testing.assert_allclose(mixed(tracks.values())[100:-100], sine(1.0, 16000)[100:-100], atol=2e-3)


def test_the_mix_to_mux_is_the_file_itself_or_the_sum(files):
    mix = mix_of({"audio": files["music"]}, 44100, 2.0)
    np.testing.assert_allclose(mix, np.stack([sine(2.0, 44100)] * 2, axis=1), atol=1e-6)
    mix = mix_of(files, 16000, 3.0)
    assert mix.shape == (48000, 2)
    np.testing.assert_allclose(mix[100:15900, 0], 2 * sine(1.0, 16000)[100:15900], atol=2e-3)
    assert not mix[33000:].any()


def test_too_loud_a_sum_is_turned_down_not_clipped(tmp_path):
    loud = sine(1.0, 16000, level=0.9)
    for name in ("speech", "effects"):
        write_audio(tmp_path / f"{name}.wav", loud, 16000)
    files = {name: tmp_path / f"{name}.wav" for name in ("speech", "effects")}
    mix = mix_of(files, 16000, 1.0)
    assert np.abs(mix).max() == pytest.approx(0.99)
    np.testing.assert_allclose(mix[:, 0], loud * (0.99 / np.abs(loud).max()), atol=1e-6)
