"""The request side of a story: flags, the file and the call; nothing here loads a network."""

import re

import numpy as np
import pytest
from front_doors import exit_code, forbid_networks

from mtv_jax import sample
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.pictures import write_image
from mtv_jax.pipelines.flags import parse_prompts, parse_sample
from mtv_jax.pipelines.mtv import MTVPipeline
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import check_speakers

ARGV = ("--preset", "tiny")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with sounds of 2 s (a tone and silence) and 30 s, and a picture; no command loads a network."""
    forbid_networks(monkeypatch)
    monkeypatch.chdir(tmp_path)
    tone = (0.3 * np.sin(np.arange(32000))).astype(np.float32)
    write_audio(tmp_path / "tone.wav", tone, 16000)
    write_audio(tmp_path / "silence.wav", np.zeros(32000, np.float32), 16000)
    write_audio(tmp_path / "long.wav", np.resize(tone, 480000), 16000)
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def printed(capsys, *argv):
    assert exit_code(sample.main, *ARGV, "--dry-run", *argv) == 0
    return capsys.readouterr().out


def test_a_dry_run_says_what_is_where(files, capsys):
    out = printed(
        capsys,
        *("--prompt", "A bell.", "--prompt-at", "4=A drum.", "--duration", "10", "--fps", "12"),
        *("--transition", "1", "--keyframe", "0=a.png", "--keyframe", "2.5s=a.png"),
        *("--speech", "tone.wav", "--effects", "silence.wav", "--music", "long.wav"),
    )
    rows = [line[12:].strip() for line in out.splitlines()]
    assert rows == [
        "120 frames of 64 x 64, 10.00 s at 12 frames a second",
        "1: A bell.",
        "2: A drum.",
        "from frame 0, 0.00 s: prompt 1",
        "from frame 42, 3.50 s: prompts 67% of 1 + 33% of 2",
        "from frame 48, 4.00 s: prompts 33% of 1 + 67% of 2",
        "from frame 54, 4.50 s: prompt 2",
        "0 (frame 0): latent frame 0, which shows frame 0, in window 1: a.png (crop)",
        "2.5s (frame 30): latent frame 30, which shows frame 30, in window 1: a.png (crop)",
        "speech:Person1: tone.wav, 2.00 s: silent from then to 10.00 s",
        "effects: silence.wav, 2.00 s: silent",
        "music: long.wav, 30.00 s: cut to 10.00 s",
        "4 of up to 71 frames; each goes on from 5 before it (latent)",
        "1: frames 0 to 41, 0.00 to 3.50 s: prompt 1; keyframe 0; keyframe 2.5s; speech:Person1, music",
        "2: frames 42 to 47, 3.50 to 4.00 s: prompts 67% of 1 + 33% of 2; music",
        "3: frames 48 to 53, 4.00 to 4.50 s: prompts 33% of 1 + 67% of 2; music",
        "4: frames 54 to 119, 4.50 to 10.00 s: prompt 2; music",
    ]


def test_a_dry_run_says_what_is_late_and_what_is_dropped(files, capsys, pipeline_folder):
    """A folder whose latent frames stand for four frames: 6 s at 12 frames a second are 72, not 1 + 4k."""
    argv = (
        "--prompt",
        "A bell.",
        "--prompt-at",
        "2.5=A drum.",
        "--duration",
        "6",
        "--keyframe",
        "2.5s=a.png",
    )
    assert (
        exit_code(sample.main, "--preset", pipeline_folder, "--dry-run", *argv, "--window-frames", "25") == 0
    )
    out = capsys.readouterr().out
    assert (
        "72 frames of 32 x 32, 6.00 s at 12 frames a second; 73 are generated and the last 1 dropped" in out
    )
    assert "from frame 29, 2.42 s: prompt 2 (asked: frame 30, 2.50 s; it is 1 frame early)" in out
    assert "2.5s (frame 30): latent frame 8, which shows frames 29 to 32, in window 3" in out


def test_a_story_file_is_a_call_and_flags_take_precedence(files, capsys):
    (files / "sub").mkdir()
    (files / "sub" / "story.yaml").write_text(
        "prompt: [{at: 0, text: A bell.}, {at: 4, text: A drum.}]\n"
        "tracks: {speech: ../tone.wav, music: ../long.wav}\nduration: 10\nkeyframes: {1s: ../a.png}\n"
    )
    out = printed(capsys, "--story", "sub/story.yaml")
    assert "from frame 48, 4.00 s: prompt 2" in out
    assert re.search(r"1s \(frame 12\).*a\.png", out)
    assert "music: sub/../long.wav, 30.00 s: cut to 10.00 s" in out
    out = printed(
        capsys, "--story", "sub/story.yaml", "--num-frames", "60", "--music", "tone.wav", "--prompt", "A cat."
    )
    assert "60 frames" in out
    assert "prompts     1: A cat.\nkeyframes" in out
    assert "music: tone.wav, 2.00 s: silent from then to 5.00 s" in out


def test_the_example_is_a_story(files, capsys):
    example = pipeline_folder("tiny").parent / "scenes" / "story.yaml"
    out = printed(capsys, "--story", example)
    assert "72 frames of 64 x 64, 6.00 s" in out
    assert out.count("silent from then to 6.00 s") == 3


def test_a_flag_that_repeats_its_default_takes_precedence_too(files):
    _, values = parse_sample([*ARGV, "--guidance-schedule", "constant", "--normalize-loudness"])
    assert values == {"guidance": "constant", "normalize_loudness": True}
    assert parse_sample([*ARGV])[1] == {}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--prompt-at", "1=A drum."], "prompt at 1 s: is the first; none holds at 0"),
        (
            ["--prompt", "a", "--prompt-at", "99=b", "--duration", "10"],
            "prompt at 99 s: the video has 0 to 10.00 s",
        ),
        (["--prompt", "a", "--prompt-at", "soon=b"], "--prompt-at soon=b: must be SECOND=TEXT"),
        (["--prompt", "a", "--prompt-at", "nan=b"], "prompt at nan: must be a finite number"),
        (["--prompt", "a", "--prompt", "b"], "prompt: 2 without times"),
        (["--prompt", "a", "--prompt", "b", "--prompt-at", "4=c"], "--prompt 'b': is the second"),
        (
            ["--prompt", "a", "--keyframe", "1.5=a.png"],
            "keyframe '1.5': must be a frame, such as 48, or a second",
        ),
        (
            ["--prompt", "a", "--keyframe", "0s=a.png", "--keyframe", "0=a.png"],
            "keyframe 0: the one at 0s is in the",
        ),
        (["--prompt", "a", "--keyframe", "99s=a.png"], "keyframe 99s: the video has frames 0 to"),
        (["--prompt", "a", "--keyframe", "0=no.png"], "no.png"),
        (["--prompt", "a", "--speech", "Bob=tone.wav"], "speech:Bob: Bob is no speaker"),
        (["--prompt", "Person1 and Person2", "--speech", "Person2=tone.wav"], "this model has one speaker"),
        (["--prompt", "a", "--speech", "Person1=tone.wav"], "speech:Person1: no prompt names Person1"),
        (
            ["--prompt", "a", "--speech", "tone.wav", "--speech", "a.png"],
            "--speech a.png: speech is given twice",
        ),
        (["--prompt", "a", "--guidance", "voice=3"], "guidance_scale of voice"),
        (["--prompt", "a", "--duration", "nan"], "duration nan: must be a finite number"),
        (["--prompt", "a", "--duration", "0"], "duration 0.0: is less than a frame"),
        (["--prompt", "a", "--transition", "-1"], "transition -1.0: must be at least 0"),
        (["--prompt", "a", "--window-frames", "9", "--window-overlap", "9"], "must be more than the overlap"),
        (["--story", "no.yaml"], "no.yaml"),
    ],
)
def test_bad_input_is_one_line_before_networks_are_loaded(files, capsys, argv, message):
    assert exit_code(sample.main, *ARGV, "--out", "x.mp4", *argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["--duration", "2", "--num-frames", "25"],
        ["--prompt", "a", "--prompts", "b.txt"],
        ["--guidance", "text"],
        ["--guidance", "text=1,text=2"],
        ["--guidance", "text=1,3"],
        ["--window-frames", "0"],
        ["--long-video", "magic"],
    ],
)
def test_flags_that_contradict_each_other_are_bad_usage(files, argv):
    assert exit_code(sample.main, *ARGV, "--out", "x.mp4", *argv) == 2


def test_flags_become_arguments(files):
    (files / "c=1.wav").write_bytes((files / "tone.wav").read_bytes())
    flags = "--speech Person2=b.wav --speech c=1.wav --guidance text=6,speech:Person2=4 --duration 20"
    args, values = parse_sample([*ARGV, "--prompt", "a", "--prompt-at", "4s=b = c", *flags.split()])
    assert parse_prompts(args) == [(0.0, "a"), (4.0, "b = c")]
    assert values == {
        "speech": "c=1.wav",
        "tracks": {"speech:Person2": "b.wav"},
        "guidance_scale": {"text": 6.0, "speech:Person2": 4.0},
        "duration": 20.0,
    }


def test_a_speaker_is_named_by_some_prompt():
    check_speakers(["speech:Person1", "effects"], [(0, "a room"), (2, "Person1 speaks")])
    check_speakers(["speech", "speech2"], "two people talk")
    with pytest.raises(UserError, match="speech:Person2: no prompt names Person2"):
        check_speakers(["speech:Person1", "speech:Person2"], "Person1 speaks")
    with pytest.raises(UserError, match="Person2 has none and is not in the text"):
        check_speakers(["speech:Person1", "speech:Person3"], "Person1 and Person3")


def test_length_of_a_call(files):
    folder = pipeline_folder("tiny")
    checked = MTVPipeline.preflight(folder, {"duration": 2.03}, ["a bell"])
    assert checked.clip.num_frames == 24
    assert checked.timelines[0].is_plain
    with pytest.raises(UserError, match="duration 2 and num_frames 25: give one of them"):
        MTVPipeline.preflight(folder, {"duration": 2, "num_frames": 25}, ["a bell"])
