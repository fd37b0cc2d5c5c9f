"""Reading and writing sound: every kind, at its true time; bad files reported in one line."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from mtv_jax.io.audio import audio_info, read_audio, resample, write_audio
from mtv_jax.io.channels import to_stereo
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video

RATE = 44100
MEDIA = Path(os.environ.get("MTV_JAX_MEDIA", Path(__file__).parents[3] / "shared" / "media"))


def tone(seconds=1.0, rate=RATE, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def clicks(times, seconds, rate=RATE):
    """Short 2 kHz bursts that begin at `times`."""
    wave = np.zeros(round(seconds * rate), np.float32)
    burst = 0.8 * np.sin(2 * np.pi * 2000 * np.arange(rate // 100) / rate) * np.hanning(rate // 100)
    for time in times:
        wave[round(time * rate) :][: len(burst)] += burst
    return wave


def centre_of_click(wave, rate, near):
    """Centre of the energy within 60 ms of `near`, seconds."""
    first = max(round((near - 0.06) * rate), 0)
    power = wave[first : round((near + 0.06) * rate)].astype(np.float64) ** 2
    return (first + (power * np.arange(len(power))).sum() / power.sum()) / rate


def mux(path, wave, *, audio_start=0.0, video_start=0.0, codec="aac", seconds=2.0, fps=24, rate=RATE):
    """A video whose sound is stamped `audio_start` and whose first frame is stamped `video_start`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"bf": "2"})
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream(codec, rate=rate)
        audio.layout = "mono"
        for i in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), i % 255, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i + round(video_start * fps), Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        sound.sample_rate, sound.time_base, sound.pts = rate, Fraction(1, rate), round(audio_start * rate)
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_what_is_written_is_read_in_time(tmp_path, suffix):
    path = tmp_path / f"sound.{suffix}"
    write_audio(path, clicks([0.25, 0.75], 1.0), RATE)
    wave = read_audio(path, 16000)
    assert wave.dtype == np.float32
    assert abs(len(wave) - 16000) <= (1600 if suffix == "mp3" else 0)  # mp3 pads its last frame
    for time in (0.25, 0.75):
        assert centre_of_click(wave, 16000, time) == pytest.approx(time + 0.005, abs=0.001)


@pytest.mark.parametrize("suffix", ["m4a", "mp4", "mkv", "aac"])
def test_other_containers_are_read_in_time(tmp_path, suffix):
    codec = "flac" if suffix == "mkv" else "aac"
    path = tmp_path / f"sound.{suffix}"
    wave = clicks([0.5, 1.5], 2.0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.layout = "mono"
        form = "s16" if codec == "flac" else "fltp"
        data = (wave * 32767).astype(np.int16) if form == "s16" else wave
        frame = av.AudioFrame.from_ndarray(data[None], format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    # Raw AAC says nothing of its encoder's delay of 1024 samples.
    late = 1024 / RATE if suffix == "aac" else 0
    got = read_audio(path, RATE)
    assert centre_of_click(got, RATE, 0.5 + late) == pytest.approx(0.505 + late, abs=0.001)
    later = read_audio(path, RATE, start=1.4, duration=0.4)
    assert len(later) == round(0.4 * RATE)
    assert centre_of_click(later, RATE, 0.1 + late) == pytest.approx(0.105 + late, abs=0.001)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize(("audio_start", "video_start"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)])
def test_sound_is_in_time_with_the_first_frame(tmp_path, suffix, audio_start, video_start):
    path = mux(
        tmp_path / f"clip.{suffix}",
        clicks([1.0], 2.0),
        audio_start=audio_start,
        video_start=video_start,
    )
    expected = 1.0 + audio_start - video_start
    wave = read_audio(path, RATE)
    assert centre_of_click(wave, RATE, expected) == pytest.approx(expected + 0.005, abs=0.002)


def test_sound_of_our_own_videos_starts_at_frame_0_and_lasts_as_long(tmp_path):
    frames = np.zeros((48, 32, 32, 3), np.uint8)
    write_video(tmp_path / "clip.mp4", frames, 24, audio=clicks([0.0, 1.0], 2.0), sample_rate=RATE)
    wave = read_audio(tmp_path / "clip.mp4", RATE)
    assert abs(len(wave) - 2 * RATE) <= RATE / 24
    assert centre_of_click(wave, RATE, 1.0) == pytest.approx(1.005, abs=0.001)
    assert np.abs(wave[: RATE // 50]).max() > 0.3


def test_a_part_of_a_long_sound_is_exact(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, 30 * RATE).astype(np.float32)
    write_audio(tmp_path / "noise.wav", wave, RATE)
    part = read_audio(tmp_path / "noise.wav", None, start=10.5, duration=2.0)
    np.testing.assert_array_equal(part, wave[round(10.5 * RATE) :][: 2 * RATE])


def test_after_a_seek_an_mp4_gives_the_same_samples(tmp_path):
    path = mux(tmp_path / "clip.mp4", tone(20.0) * np.hanning(20 * RATE).astype(np.float32), seconds=20)
    whole, part = read_audio(path, RATE), read_audio(path, RATE, start=12.25, duration=1.0)
    np.testing.assert_allclose(part, whole[round(12.25 * RATE) :][:RATE], atol=1e-6)


def test_channels(tmp_path):
    stereo = np.stack([tone(), np.zeros(RATE, np.float32)], axis=1)
    write_audio(tmp_path / "stereo.flac", stereo, RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "stereo.flac", RATE, mono=False), stereo, atol=1e-6)
    np.testing.assert_allclose(read_audio(tmp_path / "stereo.flac", RATE), tone() / 2, atol=1e-6)
    surround = np.zeros((10, 6), np.float32)
    surround[:, 2] = 1  # the centre goes to both sides, 3 dB down
    np.testing.assert_allclose(to_stereo(surround), np.sqrt(0.5), rtol=1e-6)


def test_wide_stereo_is_not_taken_for_opposite_sides(tmp_path, caplog):
    wide = np.random.default_rng(0).normal(0, 0.1, (RATE, 2)).astype(np.float32)
    write_audio(tmp_path / "s.wav", wide, RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "s.wav", None), wide.mean(axis=1), atol=1e-6)
    assert caplog.messages == []


def test_an_ogg_has_its_first_and_its_last_samples(tmp_path):
    sound = np.zeros(RATE, np.float32)
    sound[4000], sound[-60:-40] = 0.9, 0.9
    write_audio(tmp_path / "s.ogg", sound, RATE)
    read = read_audio(tmp_path / "s.ogg", None)
    assert len(read) == RATE
    assert abs(int(np.abs(read[:8000]).argmax()) - 4000) <= 2
    assert np.abs(read[-70:]).max() > 0.4


def test_resampling_keeps_length_and_level():
    wave = tone(1.0, 48000)
    got = resample(wave, 48000, 16000)
    assert len(got) == 16000
    np.testing.assert_allclose(got[200:-200], tone(1.0, 16000)[200:-200], atol=1e-3)
    assert resample(np.stack([wave, wave], axis=1), 48000, 44100).shape == (44100, 2)


def test_info(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((RATE, 2), np.float32), RATE)
    info = audio_info(tmp_path / "a.wav")
    assert (info.sample_rate, info.channels, info.duration) == (RATE, 2, 1.0)
    info = audio_info(mux(tmp_path / "clip.mp4", tone(2.0)))
    assert (info.sample_rate, info.channels, info.codec) == (RATE, 1, "aac")
    assert info.duration == pytest.approx(2.0, abs=0.05)


def write_picture(path):
    Image.new("RGB", (8, 8)).save(path, format="PNG")


def write_silent_video(path):
    write_video(path, np.zeros((4, 32, 32, 3), np.uint8), 24)


BAD = {
    "empty.wav": (lambda p: p.write_bytes(b""), "empty"),
    "zero.wav": (lambda p: soundfile.write(p, np.zeros(0, np.float32), RATE), "zero length"),
    "nan.wav": (lambda p: soundfile.write(p, np.full(9, np.nan), RATE, "FLOAT"), "not finite"),
    "notes.txt": (lambda p: p.write_text("some notes\n" * 50), "a text file"),
    "notes.wav": (lambda p: p.write_text("some notes\n" * 50), "a text file"),
    "picture.png": (write_picture, "a PNG picture"),
    "picture.mp3": (write_picture, "a PNG picture"),
    "silent.mp4": (write_silent_video, "without a sound track"),
    "random.m4a": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(5000)), "not a sound file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_reported_in_one_line(tmp_path, name):
    make, reason = BAD[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=reason) as caught:
        read_audio(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_beyond_the_end_and_unreadable(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_audio(tmp_path / "none.wav")
    write_audio(tmp_path / "a.wav", tone(), RATE)
    with pytest.raises(UserError, match="no sound after 5 s"):
        read_audio(tmp_path / "a.wav", start=5)
    if os.geteuid():
        (tmp_path / "a.wav").chmod(0)
        with pytest.raises(UserError, match="permission"):
            read_audio(tmp_path / "a.wav")


def test_a_damaged_mp4_is_reported(tmp_path):
    path = mux(tmp_path / "clip.mp4", tone(2.0))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"clip\.mp4: "):
        read_audio(path)


def test_writing_is_whole_or_nothing(tmp_path):
    with pytest.raises(UserError, match=r"name one of these"):
        write_audio(tmp_path / "a.xyz", tone(), RATE)
    write_audio(tmp_path / "a.wav", tone(), RATE)
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(ValueError, match="dtype"):
        write_audio(tmp_path / "a.wav", np.array(["no", "sound"]), RATE)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_real_media():
    clip = MEDIA / "bbb_0-240s_640x360.mp4"
    if not clip.exists():
        pytest.skip(f"no media folder at {MEDIA} (set MTV_JAX_MEDIA)")
    part = read_audio(clip, 16000, start=200.0, duration=2.0)
    assert len(part) == 32000
    assert audio_info(clip).duration == pytest.approx(240.0, abs=0.01)
    with pytest.raises(UserError, match="without a sound track"):
        read_audio(MEDIA / "bikes_5cuts_silent.mp4")
