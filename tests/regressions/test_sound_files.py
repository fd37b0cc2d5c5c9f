"""Sound that was once read wrongly: layouts, phase, streams, lengths, levels."""

import struct

import av
import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from media_files import write_sound

from mtv_jax.io.audio import audio_info, read_audio, read_stereo, readable_in_parts
from mtv_jax.io.channels import to_mono, to_stereo
from mtv_jax.io.errors import UserError

RATE = 16000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def said(caplog) -> str:
    """The notes since this was last asked."""
    text = "".join(f"{message}\n" for message in caplog.messages)
    caplog.clear()
    return text


def dbfs(samples):
    return 10 * np.log10(np.mean(np.square(samples[1000:-1000], dtype=np.float64)) + 1e-12)


def only(position, layout):
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    samples = np.zeros((RATE, len(names)), np.float32)
    samples[:, names.index(position)] = TONE
    return samples


@pytest.mark.parametrize(
    ("position", "mono", "left", "layouts"),
    [
        ("FC", -12.0, -12.0, ["3.0", "5.0", "5.1", "5.1(side)", "6.1", "7.1"]),
        ("FL", -15.1, -9.0, ["stereo", "3.0", "quad", "5.1", "6.1", "7.1"]),
        ("BL", -18.1, -12.0, ["quad", "5.1", "7.1"]),
        ("SL", -18.1, -12.0, ["5.1(side)", "6.1", "7.1"]),
        ("LFE", -120.0, -120.0, ["5.1", "7.1"]),
    ],
)
def test_a_position_is_equally_loud_in_any_layout(tmp_path, position, mono, left, layouts):
    """vgmstream#1274, alass#54: more than two channels were averaged, but 5.1, whose order was taken for granted."""
    for layout in layouts:
        path = write_sound(tmp_path / "s.flac", [(only(position, layout), 0)], "flac", layout=layout)
        assert dbfs(read_audio(path, None)) == pytest.approx(mono, abs=0.1), layout
        assert dbfs(read_stereo(path, RATE)[:, 0]) == pytest.approx(left, abs=0.1), layout


@pytest.mark.parametrize(
    ("suffix", "codec", "layout"),
    [
        ("wav", "pcm_s16le", "5.1"),
        ("m4a", "aac", "5.1"),
        ("mkv", "ac3", "5.1"),
        ("opus", "libopus", "5.1"),
        ("opus", "libopus", "7.1"),
    ],
)
def test_the_layout_is_known_in_any_file(tmp_path, suffix, codec, layout):
    """vgmstream#1274: codecs order their channels in ways of their own (PyAV cannot read 8 planes)."""
    rate = 48000
    samples = np.repeat(only("FC", layout), rate // RATE, axis=0)
    path = write_sound(tmp_path / f"s.{suffix}", [(samples, 0)], codec, rate=rate, layout=layout)
    assert dbfs(read_audio(path, None)) == pytest.approx(-12, abs=0.3)


def test_positions_that_a_file_does_not_name(tmp_path):
    """alass#54: wav without a mask has the usual order; nobody knows where nine channels are."""
    soundfile.write(tmp_path / "six.wav", only("FC", "5.1"), RATE, subtype="FLOAT")
    assert dbfs(read_audio(tmp_path / "six.wav", None)) == pytest.approx(-12, abs=0.1)
    nine = np.zeros((10, 9), np.float32)
    nine[:, 4] = 0.9
    np.testing.assert_allclose(to_stereo(nine), 0.3, rtol=1e-6)
    ambisonic = np.eye(4, dtype=np.float32)
    names = ["AMBI0", "AMBI1", "AMBI2", "AMBI3"]
    np.testing.assert_allclose(to_stereo(ambisonic, names)[:, 0], [0.5**0.5, 0, 0, 0], rtol=1e-6)


def test_sides_of_opposite_phase_are_heard_and_named(tmp_path, caplog):
    """whisperX#750: right = -left was silence."""
    soundfile.write(tmp_path / "s.wav", np.stack([TONE, -TONE], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "s.wav", None), TONE, atol=1e-6)
    assert "opposite phase" in said(caplog)
    soundfile.write(tmp_path / "s.wav", np.stack([TONE, -0.5 * TONE], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "s.wav", None), 0.75 * TONE, atol=1e-6)
    surround = only("FL", "5.1") - only("FR", "5.1") + 0.1 * (only("BL", "5.1") - only("BR", "5.1"))
    assert to_mono(surround)[1] == ["FR", "BR"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Disposition.comment, Disposition.default),
        (Disposition.comment | Disposition.default, 0),
        (Disposition.hearing_impaired, 0),
        (0, Disposition.default),
    ],
)
def test_the_stream_is_the_one_a_player_takes(tmp_path, first, second):
    """Tdarr_Plugins#97: the first stream was taken, a commentary or not."""
    path = write_sound(tmp_path / "s.mka", [(0.1 * TONE, first), (TONE, second)], "flac")
    np.testing.assert_allclose(read_audio(path, None), TONE, atol=1e-3)


def test_a_piped_flac_is_as_long_as_its_sound(tmp_path):
    """libsndfile#1038: a writer to a pipe leaves 0 for the number of samples."""
    path = tmp_path / "s.flac"
    soundfile.write(path, TONE, RATE)
    data = bytearray(path.read_bytes())
    fields = int.from_bytes(data[18:26], "big")
    for samples in (0, 1000, 1 << 35):
        data[18:26] = (fields >> 36 << 36 | samples).to_bytes(8, "big")
        path.write_bytes(data)
        assert len(read_audio(path, None)) == RATE
        assert audio_info(path).duration == 1


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_piped_wav_is_as_long_as_its_sound(tmp_path, size, caplog):
    """libsndfile#1038, for wav: ffmpeg and sox write these sizes to a pipe."""
    path = tmp_path / "s.wav"
    soundfile.write(path, TONE, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(data)
    assert len(read_audio(path, None)) == audio_info(path).duration * RATE == RATE
    assert said(caplog) == ""


@pytest.mark.parametrize("kind", ["wav", "w64", "caf", "aiff", "flac", "mp3", "ogg"])
def test_a_file_that_is_cut_off_is_read_and_says_so(tmp_path, kind, caplog):
    """Found by attack: half of a file was read without a word."""
    path = tmp_path / f"s.{kind}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE)
    soundfile.write(path, noise, RATE)
    assert len(read_audio(path, None)) == pytest.approx(4 * RATE, abs=RATE // 10)
    assert said(caplog) == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 0.5 * RATE < len(read_audio(path, None)) < 3 * RATE
    reported = said(caplog)
    assert f"s.{kind}: its sound is truncated" in reported
    assert kind == "ogg" or "header says 4.0" in reported
    read_audio(path, None, duration=0.2)  # whatever is read of it
    assert "its sound is truncated" in said(caplog)


def test_a_damaged_part_is_skipped_and_reported(tmp_path, caplog):
    """Found by attack: one bad packet made a file unreadable."""
    soundfile.write(tmp_path / "s.mp3", np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE), RATE)
    data = bytearray((tmp_path / "s.mp3").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 700] = np.random.default_rng(0).bytes(700)
    (tmp_path / "s.mp3").write_bytes(data)
    assert len(read_audio(tmp_path / "s.mp3", None)) > 3.5 * RATE
    assert "damaged at" in said(caplog)


@pytest.mark.parametrize("value", [1e30, -32768.0, np.nan, np.inf])
def test_samples_that_cannot_be_meant_are_refused(tmp_path, value):
    """Found by attack: samples of 1e30 made features of infinity."""
    samples = TONE.astype(np.float64)
    samples[100] = value
    soundfile.write(tmp_path / "s.wav", samples, RATE, subtype="DOUBLE")
    with pytest.raises(UserError, match=r"s\.wav: holds samples"):
        read_audio(tmp_path / "s.wav")


@pytest.mark.parametrize(
    ("place", "value", "message"), [(24, 1, "1 Hz"), (24, 10**9, "1000000000 Hz"), (22, 999, "channels")]
)
def test_rates_and_channels_that_cannot_be_meant_are_refused(tmp_path, place, value, message):
    """Found by attack: a rate of 1 Hz failed with a traceback, or asked for gigabytes."""
    path = tmp_path / "s.wav"
    soundfile.write(path, TONE, RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    if place == 22:
        data[22:24], data[32:34] = struct.pack("<H", value), struct.pack("<H", 2 * value)
    else:
        data[place : place + 4] = struct.pack("<I", value)
    path.write_bytes(data)
    for read in (read_audio, audio_info):
        with pytest.raises(UserError, match=rf"s\.wav: .*{message}"):
            read(path)


def test_a_compressed_file_is_read_in_parts_as_in_one(tmp_path):
    """Found by attack: the seeks of mp3 go to where its header guesses."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE)
    soundfile.write(tmp_path / "s.mp3", sound, RATE)
    with readable_in_parts(tmp_path / "s.mp3", tmp_path) as copy:
        whole = read_audio(tmp_path / "s.mp3", None)
        parts = [read_audio(copy, None, start=second, duration=1) for second in range(3)]
        np.testing.assert_array_equal(np.concatenate(parts), whole[: 3 * RATE])
