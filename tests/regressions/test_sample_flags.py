"""`sample` as a newcomer meets it: length by the sound, what is cut is said, many videos in one call."""

import logging
from fractions import Fraction

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from front_doors import exit_code

from mtv_jax import sample
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.audio import write_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import log_adjustments, read_sounds, sound_files, track_folder, video_size
from mtv_jax.pipelines.run import Encoded, GenerateConfig, generate
from mtv_jax.pipelines.video import Video
from mtv_jax.weights.model_index import PipelineDefaults, SamplingDefaults, read_defaults

TINY = read_defaults(pipeline_folder("tiny"))
LARGE = PipelineDefaults()


@pytest.fixture
def sounds(tmp_path):
    """Silent files by their seconds."""

    def make(seconds):
        path = tmp_path / f"{seconds}.wav"
        write_audio(path, np.zeros(round(seconds * 16000), np.float32), 16000)
        return path

    return make


def size_of(defaults, files, num_frames="auto", step=1, **values):
    return video_size(
        defaults.clip.replace(**values),
        {name: sound.duration for name, sound in read_sounds(files, None).items()},
        num_frames=num_frames,
        longest=defaults.sampling.max_num_frames,
        frames=step,
        pixels=16,
        steps=8,
    )


@pytest.mark.parametrize(
    ("seconds", "num_frames"),
    [(10.0, 120), (2.0833, 25), (1.0, 12), (0.1, 5), (19.999, 240), (20.1, 241), (60.0, 241)],
)
def test_a_video_is_as_long_as_its_sound_where_the_model_can(seconds, num_frames, sounds):
    """Found by a newcomer: 10 s of sound gave 2.08 s of video."""
    files = {"speech": sounds(seconds), "music": sounds(0.05)}
    assert size_of(TINY, files).num_frames == num_frames
    assert size_of(TINY, files, num_frames=None).num_frames == num_frames


def test_a_requested_length_or_that_without_sound_is_kept(sounds):
    assert size_of(TINY, {"speech": sounds(10.0)}, num_frames=49).num_frames == 49
    assert size_of(TINY, {}).num_frames == 25
    with pytest.raises(UserError, match="num_frames 'long'"):
        size_of(TINY, {}, num_frames="long")


def test_a_model_of_which_no_other_length_is_known_keeps_its_own(sounds):
    assert size_of(LARGE, {"speech": sounds(10.0)}, step=4).num_frames == 49


def test_whole_latent_frames_are_filled(sounds):
    known = PipelineDefaults(sampling=SamplingDefaults(max_num_frames=97))
    assert size_of(known, {"speech": sounds(3.0)}, step=4).num_frames == 69
    assert size_of(known, {"speech": sounds(9.0)}, step=4).num_frames == 97
    assert size_of(known, {"speech": sounds(3.0)}, step=4, fps=Fraction(12)).num_frames == 33


def test_what_is_cut_or_padded_is_logged(sounds, caplog):
    """Found by a newcomer: 10 s of sound were cut to 2.08 s without a word."""
    long, short = sounds(10.0), sounds(0.5)
    files = {"speech": long, "effects": short, "music": sounds(2.0833)}
    log_adjustments(TINY.clip, TINY, read_sounds(files, 2.5))
    assert [record.getMessage() for record in caplog.records] == [
        f"speech {long}: sound of 10.00 s: cut to 2.08 s",
        f"effects {short}: sound of 0.50 s: padded with silence to 2.08 s",
    ]


@pytest.mark.parametrize(
    ("defaults", "values", "reported"),
    [
        (TINY, {"width": 128, "height": 128}, "size 128 x 128: this model was trained at 64 x 64 alone"),
        (TINY, {"fps": 24}, "fps 24: this model was trained at 12 alone"),
        (
            TINY,
            {"num_frames": 300},
            "num_frames 300: this model was trained at 25 and is known to keep in step up",
        ),
        (LARGE, {"num_frames": 53}, "num_frames 53: this model was trained at 49 alone"),
        (TINY, {"num_frames": 120}, None),
        (PipelineDefaults(ClipSize(native_rate=True)), {"fps": 30}, None),
    ],
)
def test_a_size_that_the_model_was_never_trained_at_is_logged(defaults, values, reported, caplog):
    """Found by a newcomer: 128x128 on `tiny` gave doubled heads and exit 0."""
    log_adjustments(defaults.clip.replace(**values), defaults, {})
    messages = [record.getMessage() for record in caplog.records]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * len(messages)
    assert len(messages) == (reported is not None)
    assert reported is None or messages[0].startswith(reported)


def test_the_folder_of_demix_gives_the_tracks(tmp_path, sounds):
    for name in ("speech.wav", "effects.flac", "demix.json"):
        (tmp_path / name).write_text("")
    own = sounds(1.0)
    tracks = track_folder(tmp_path)
    assert tracks == {"speech": tmp_path / "speech.wav", "effects": tmp_path / "effects.flac"}
    given = sound_files(tracks, {"effects": own, "music": None})
    assert given == {"speech": tmp_path / "speech.wav", "effects": own}
    with pytest.raises(
        UserError, match=r"tracks: voice: known names are speech, speech2, .*, effects, music, audio"
    ):
        sound_files({"voice": own}, {})


def test_a_folder_without_tracks_or_with_two_of_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="no tracks in it"):
        track_folder(tmp_path)
    (tmp_path / "music.wav").write_text("")
    (tmp_path / "music.flac").write_text("")
    with pytest.raises(UserError, match=r"both music\.wav and music\.flac"):
        track_folder(tmp_path)


class FakePipeline:
    """Makes grey frames, and fails for seed 1."""

    untrained = ()

    def __init__(self):
        self.calls = []

    def __call__(self, prompt, **options):
        self.calls.append((prompt, options["seed"]))
        if options["seed"] == 1:
            raise UserError("seed 1: bad luck")
        self.options = options
        return Video(np.zeros((2, 32, 32, 3), np.uint8), Fraction(12))


@pytest.fixture
def pipes(monkeypatch):
    """The pipelines that were loaded."""
    loaded = []

    def load(path, *, dtype):
        loaded.append(FakePipeline())
        loaded[-1].path = path
        return loaded[-1]

    monkeypatch.setattr("mtv_jax.pipelines.base.Pipeline.from_pretrained", load)
    return loaded


def test_several_seeds_are_one_loading_and_a_failure_loses_no_other(pipes, tmp_path, capsys):
    argv = ["--preset", "tiny", "--prompt", "a bell", "--seeds", "0:2,7", "--out", tmp_path / "x.gif"]
    assert exit_code(sample.main, *argv) == 2
    assert [pipe.calls for pipe in pipes] == [[("a bell", 0), ("a bell", 1), ("a bell", 7)]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_seed0.gif", "x_seed7.gif"]
    reported = capsys.readouterr()
    assert "error: seed 1: bad luck" in reported.err
    assert "1 of 3 videos failed" in reported.err
    assert f"{tmp_path / 'x_seed7.gif'}: 2 frames" in reported.out


def test_prompts_and_seeds_into_a_folder(pipes, tmp_path):
    (tmp_path / "prompts.txt").write_text("\ufeffa bell\n\n a drum \n", encoding="utf-8")
    out = tmp_path / "out"
    argv = ["--preset", "tiny", "--prompts", tmp_path / "prompts.txt", "--seeds", "0,2", "--out", out]
    assert exit_code(sample.main, *argv) == 0
    assert pipes[0].calls == [("a bell", 0), ("a bell", 2), ("a drum", 0), ("a drum", 2)]
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"out_prompt{i}_seed{seed}.mp4" for i in (0, 1) for seed in (0, 2)]
    (out / names[0]).unlink()
    assert exit_code(sample.main, *argv) == 2, "one of them is there already"
    assert not (out / names[0]).exists()
    assert exit_code(sample.main, *argv, "--overwrite") == 0
    assert (out / names[0]).exists()


def test_checkpoint_is_another_name_of_preset_and_the_help_says_so(pipes, tmp_path, capsys):
    """Found by a newcomer: two flags for one thing."""
    folder = pipeline_folder("tiny")
    argv = ["--prompt", "a bell", "--out", tmp_path / "x.gif"]
    assert exit_code(sample.main, "--preset", folder, *argv) == 0
    assert exit_code(sample.main, "--checkpoint", folder, *argv, "--overwrite") == 0
    capsys.readouterr()
    assert [pipe.path for pipe in pipes] == [str(folder)] * 2
    assert exit_code(sample.main, "--help") == 0
    assert ", --checkpoint NAME_OR_FOLDER" in capsys.readouterr().out


def test_flags_reach_the_pipeline(pipes, tmp_path, sounds):
    speech, folder = sounds(1.0), tmp_path / "tracks"
    folder.mkdir()
    music = sounds(2.0).rename(folder / "music.wav")
    argv = ["--preset", "tiny", "--prompt", "a bell", "--tracks", folder, "--speech", speech]
    assert exit_code(sample.main, *argv, "--num-frames", "auto", "--out", tmp_path / "x.gif") == 0
    decoded = pipes[0].options["tracks"]
    assert {name: sound.path for name, sound in decoded.items()} == {"speech": speech, "music": music}
    assert pipes[0].options["num_frames"] == "auto"


class Nothing(nn.Module):
    """A denoiser that predicts zeros."""

    tracks: tuple[str, ...] = ()

    @nn.compact
    def __call__(self, x, t, conditions):
        return jnp.zeros_like(x)


def test_only_the_first_compilation_is_announced(capsys):
    """Found by a newcomer: the first video seemed to hang."""
    schedule, config = (
        Schedule.create(ScheduleConfig()),
        GenerateConfig(SamplerConfig("ddim", 1), guidance_scale=1.0),
    )
    encoded, keys = Encoded(Conditions(jnp.zeros((1, 2, 4)))), jax.random.split(jax.random.key(0), 1)

    def reported(frames, show=progress):
        noise = jnp.zeros((1, frames, 2, 2, 1))
        generate(Nothing(), {}, encoded, noise, keys, schedule, config, progress=show)
        return "compiling the sampling step" in capsys.readouterr().err

    assert [reported(2), reported(2), reported(3)] == [True, False, True]
