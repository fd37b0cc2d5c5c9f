"""Sound and picture in step: reports from users of similar software. docs/peers.md has the whole list."""

from fractions import Fraction

import av
import numpy as np
import pytest
from media_files import rgb_frame, write_film

from mtv_jax.audio.features import mel_encoder, track_features
from mtv_jax.audio.tracks import make_tracks, mix_sounds
from mtv_jax.io.audio import Recording, read_audio, read_recording, write_audio
from mtv_jax.models.mel import MelConfig
from mtv_jax.names import VIDEO_SOUND_RATE
from mtv_jax.pipelines.timeline.grid import Grid
from mtv_jax.pipelines.timeline.plan import StoryOptions, plan_timeline
from mtv_jax.pipelines.video import Video
from mtv_jax.pipelines.windows import frames_around, window_frames


def burst(frame: int, fps: Fraction, seconds: Fraction, rate: int) -> np.ndarray:
    """Silence with noise in the middle half of a frame."""
    wave = np.zeros(round(seconds * rate), np.float32)
    begin, end = (round((frame + part) / fps * rate) for part in (Fraction(1, 4), Fraction(3, 4)))
    wave[begin:end] = np.random.default_rng(0).normal(0, 0.2, end - begin)
    return wave


def loudest_frame(sounds: dict[str, Recording], count: int, fps: Fraction) -> int:
    """The frame whose features of speech are loudest, of a video of `count` frames."""
    tracks = make_tracks(sounds, duration=count / fps)
    features = track_features(mel_encoder(MelConfig.tiny()), tracks, count, fps)["speech"]
    return int(features.mean(axis=(1, 2)).argmax())


def written(tmp_path, sounds: dict[str, Recording], count: int, fps: Fraction) -> np.ndarray:
    """The sound [s] of a video of `count` frames, as it is read from its file."""
    sound = mix_sounds(sounds, VIDEO_SOUND_RATE, count / fps)
    Video(np.zeros((count, 16, 16, 3), np.uint8), fps, sound).save(tmp_path / "out.mp4")
    return read_audio(tmp_path / "out.mp4", VIDEO_SOUND_RATE)


def frame_of_peak(wave: np.ndarray, fps: Fraction) -> int:
    """The frame in which the loudest 5 ms of a sound at `VIDEO_SOUND_RATE` are."""
    step = VIDEO_SOUND_RATE // 200
    energy = np.square(wave[: len(wave) // step * step], dtype=np.float64).reshape(-1, step).sum(axis=1)
    return int((energy.argmax() + 0.5) / 200 * fps)


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(16), Fraction(25), Fraction(30000, 1001)], ids=str)
def test_a_sound_is_heard_and_written_in_its_frame(tmp_path, fps):
    """Wan2GP#1741: seven frames late at 30 fps; fantasy-talking#57: out of step at lower rates, such as 16."""
    count, frame = round(4 * fps), round(3 * fps)
    write_audio(tmp_path / "s.wav", burst(frame, fps, count / fps, 44100), 44100)
    sounds = {"speech": read_recording(tmp_path / "s.wav")}
    assert loudest_frame(sounds, count, fps) == frame
    assert frame_of_peak(written(tmp_path, sounds, count, fps), fps) == frame


def test_sound_goes_on_after_two_minutes(tmp_path):
    """Wan2GP#1560: the sound stopped after two minutes."""
    fps = Fraction(12)
    count, frame = round(130 * fps), round(129 * fps)
    write_audio(tmp_path / "s.wav", burst(frame, fps, count / fps, 16000), 16000)
    sounds = {"speech": read_recording(tmp_path / "s.wav")}
    assert loudest_frame(sounds, count, fps) == frame
    wave = written(tmp_path, sounds, count, fps)
    assert len(wave) == 130 * VIDEO_SOUND_RATE
    assert frame_of_peak(wave, fps) == frame


@pytest.mark.parametrize("ratio", [1, 4])
def test_every_window_of_a_long_video_hears_its_own_sound(ratio):
    """ComfyUI-LTXVideo#369: the sampler that loops over a long video takes no sound."""
    fps, count = Fraction(12), 121
    options = StoryOptions(window_frames=25, window_overlap=5)
    timeline = plan_timeline(Grid(count, fps, ratio), "a stage", longest=None, options=options)
    assert len(timeline.windows) > 4
    loudness = np.random.default_rng(0).permutation(count) / count
    # Each frame has a level of its own, from -40 to 0 dB, which its features show.
    length = round(count / fps * 16000)
    levels = loudness[np.minimum(np.arange(length) * 12 // 16000, count - 1)]
    wave = (10 ** (2 * levels - 2) * np.sin(2 * np.pi * 960 * np.arange(length) / 16000)).astype(np.float32)
    whole = mel_encoder(MelConfig.tiny())(wave, count, fps)
    for window in timeline.windows:
        around = frames_around({"speech": whole[None]}, window_frames(window, ratio), 5)
        heard = around["speech"][0, :, 2].mean(axis=(1, 2))
        # From the last frame of its first latent frame to that of its last one; before them those of its anchor.
        own = range(window.start * ratio, (window.stop - 1) * ratio + 1)
        frames = [*own]
        if window.anchor:
            anchor = range(window.anchor.start * ratio, (window.anchor.stop - 1) * ratio + 1)
            frames = [*anchor, *range(own.start - ratio + 1, own.stop)]
        np.testing.assert_array_equal(heard.argsort(), loudness[frames].argsort())
    assert any(window.anchor for window in timeline.windows)


def test_sound_that_starts_late_in_its_file_is_late(tmp_path):
    """By the time stamps of its container: as it is heard in a player."""
    frames = [rgb_frame(np.zeros((16, 16, 3), np.uint8), "rgb24") for _ in range(50)]
    frames = [frame.reformat(format="yuv420p") for frame in frames]
    sound = burst(12, Fraction(12), Fraction(2), 16000)[:, None]
    pcm = (sound * 32767).astype(np.int16)
    for late in (0, 8000):
        path = write_film(tmp_path / f"{late}.mkv", frames, "libx264", rate=25, sound=(pcm, 16000, late))
        with av.open(str(path)) as container:
            assert container.streams.audio[0].start_time == pytest.approx(late / 16, abs=1)
        sounds = {"speech": read_recording(path)}
        assert loudest_frame(sounds, 30, Fraction(12)) == 12 + late * 12 // 16000
