"""Sounds and seeds of a request: reports from users of similar software. docs/peers.md has the whole list."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtv_jax import Pipeline
from mtv_jax import sample as command
from mtv_jax.curation.sources import sources_of
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError

ROOT = Path(__file__).parents[3]
STEPS = {"num_inference_steps": 2, "progress": False}


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    return Pipeline.from_pretrained(pipeline_folder)


@pytest.fixture
def sounds(tmp_path):
    """Writes a tone of so many seconds to a file, and returns its path."""

    def write(name: str, seconds: float, rate: int = 16000) -> Path:
        wave = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)
        write_audio(tmp_path / name, wave.astype(np.float32), rate)
        return tmp_path / name

    return write


def test_tracks_of_unequal_length_make_one_video(pipe, sounds, caplog):
    """Wan2GP#794: tracks of unequal length crashed. Here each is cut or continued in silence, and a warning says so."""
    speech, effects, music = (
        sounds("s.wav", 0.2),
        sounds("e.flac", 10.0, 44100),
        sounds("m.wav", 5 / 12, 48000),
    )
    video = pipe("a rabbit", speech=speech, effects=effects, music=music, **STEPS)
    assert len(video.frames) == 5
    assert video.audio.shape == (20000, 2)
    assert f"speech {speech}: sound of 0.20 s: padded with silence to 0.42 s" in caplog.messages
    assert f"effects {effects}: sound of 10.00 s: cut to 0.42 s" in caplog.messages
    assert not any(str(music) in message for message in caplog.messages)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_track_without_samples_is_silence(pipe, sounds, caplog, suffix):
    """Wan2GP#794: what an editor exports of an empty track has no samples at all."""
    empty = sounds(f"s.{suffix}", 0.0, 44100)
    heard = pipe("a rabbit", speech=empty, music=sounds("m.wav", 0.4), **STEPS)
    silent = pipe("a rabbit", music=sounds("m.wav", 0.4), **STEPS)
    np.testing.assert_array_equal(heard.frames, silent.frames)
    assert f"speech {empty}: sound of 0.00 s: padded with silence to 0.42 s" in caplog.messages
    assert any(message.startswith(f"speech: the track in {empty} is silent") for message in caplog.messages)


def test_without_any_sample_a_video_has_the_length_of_its_training(pipe, sounds):
    video = pipe("a rabbit", speech=sounds("s.wav", 0.0), **STEPS)
    assert len(video.frames) == pipe.defaults.clip.num_frames
    assert not video.audio.any()


def test_a_file_that_is_no_sound_is_an_error_all_the_same(pipe, tmp_path):
    (tmp_path / "s.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"s\.wav: not a sound file: empty \(0 bytes\)"):
        pipe("a rabbit", speech=tmp_path / "s.wav", **STEPS)


def test_the_same_seed_is_the_same_file_in_another_process(pipeline_folder, sounds, tmp_path):
    """LTX-2#28: the same seed gave another video the next day."""
    argv = ["--preset", str(pipeline_folder), "--prompt", "a rabbit", "--speech", str(sounds("s.wav", 0.4))]
    argv += ["--steps", "2", "--seed", "7", "--out"]
    assert command.main([*argv, str(tmp_path / "a.mp4")]) == 0
    environment = os.environ | {"PYTHONHASHSEED": "5"}
    again = [sys.executable, "-m", "mtv_jax.sample", *argv, str(tmp_path / "b.mp4")]
    subprocess.run(again, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    """OpenHumanVid#25: paths of the list and of the files did not match. Here they are relative to the list."""
    (tmp_path / "data" / "films").mkdir(parents=True)
    (tmp_path / "data" / "films" / "a.mp4").write_text("x")
    listed = tmp_path / "data" / "sources.jsonl"
    listed.write_text('{"path": "films/a.mp4"}\n{"path": "videos/b.mp4"}\n')
    found = sources_of(listed)
    assert [source.id for source in found.found] == ["films/a.mp4"]
    assert found.skipped == {str(tmp_path / "data" / "videos" / "b.mp4"): "no such file"}
