"""A finished training becomes a folder that samples: the commands of launch/README.md, walked with tiny networks.

What they begin with is a folder like CogVideoX-5b-I2V's, which is sampled otherwise than what is trained from it: at 8
frames a second, led away from the empty prompt, and from a first picture alone.
"""

import json
import re
import shlex
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pipeline_folders import BACKBONE, SMALL, write_backbone

from mtv_jax import Pipeline, convert, curate, sample
from mtv_jax import train as command
from mtv_jax.data.shards import open_shards
from mtv_jax.diffusion.noise.vp import Schedule
from mtv_jax.io.audio import write_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.pictures import write_image
from mtv_jax.io.video import probe, write_video
from mtv_jax.weights.model_index import PipelineDefaults, SamplingDefaults, TextOptions
from mtv_jax.weights.pretrained import load_config

ROOT = Path(__file__).resolve().parents[2]
RATES = (Fraction(24000, 1001), Fraction(25))
SIZE = ("--num-frames=5", "--height=16", "--width=16")
NETWORK = {
    "dit": {key: value for key, value in BACKBONE.items() if key != "positions"},
    "controlnet": SMALL["mtv"]["controlnet"] | {"temporal_compression_ratio": 2},
}
TINY = (
    f"--config.model.overrides={NETWORK}",
    "--config.model.dtype=float32",
    "--config.model.remat=none",
    "--config.loss.scaling_factor=0.6",
    "--config.data.batch_size=2",
    "--config.data.num_workers=0",
    "--config.data.text_length=20",
    "--config.num_steps=2",
    "--config.optimizer.warmup_steps=1",
    "--config.optimizer.start_steps=0",
    "--config.sample.every=2",
    "--config.sample.num_inference_steps=2",
    "--config.compilation_cache=",
)


def documented(program: str) -> list[str]:
    """The arguments of a program where launch/README.md first gives it in a block of commands."""
    text = (ROOT / "launch" / "README.md").read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    line = next(line for block in blocks for line in block.splitlines() if program in line)
    return shlex.split(line.partition(program)[2])


def write_videos(folder):
    """Two described videos of sixteen frames, with a tone, at two rates: two clips each."""
    tone = (0.2 * np.sin(np.arange(16000) * 0.1)).astype(np.float32)
    for name, rate in zip("ab", RATES, strict=True):
        frames = np.random.default_rng(0).integers(0, 256, (16, 36, 48, 3), np.uint8)
        write_video(folder / f"{name}.mp4", frames, rate, audio=tone, sample_rate=16000)
        (folder / f"{name}.json").write_text(json.dumps({"prompt": "a rabbit eats"}))


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A folder in which the commands have run: it has `backbone`, `videos`, `shards` and `runs/stage1`."""
    folder = tmp_path_factory.mktemp("recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "configs").symlink_to(ROOT / "configs")
        write_backbone(folder / "backbone")
        write_videos(folder / "videos")
        plain = ["--config", "configs/curate.py:plain", "--workers", "0"]
        curate.main([*documented("-m mtv_jax.curate"), *SIZE, *plain])
        assert command.main([*documented("launch/one_vm.sh --extra cuda"), *TINY]) == 0
    return folder


@pytest.fixture(scope="module")
def workdir(walked):
    return walked / "runs" / "stage1"


@pytest.fixture(scope="module")
def pipe(workdir):
    return Pipeline.from_pretrained(workdir)


def test_clips_have_the_rates_of_their_videos(walked):
    shards = open_shards(walked / "shards")
    assert sorted(Fraction(*shards.read(i).fps) for i in range(len(shards))) == sorted(RATES * 2)


def test_a_trained_pipeline_is_sampled_as_its_clips_and_its_training_say(pipe):
    clip = ClipSize(5, Fraction(24), 16, 16, native_rate=True)  # its clips have several rates
    sampling = SamplingDefaults("zeros", None, "dpm++", 2, 3.5)
    assert pipe.defaults == PipelineDefaults(clip, TextOptions(20, "encoded"), sampling)


def test_latents_are_scaled_back_as_they_were_trained(pipe, walked):
    assert pipe.vae.config.scaling_factor == 0.6
    assert load_config(walked / "backbone" / "vae").scaling_factor == 1.0


def test_the_documented_command_makes_a_video_with_a_keyframe(walked, monkeypatch):
    monkeypatch.chdir(walked)
    write_image("first.png", np.zeros((32, 32, 3), np.uint8))
    write_audio("voice.wav", np.ones(4000, np.float32), 16000)
    sample.main([*documented("-m mtv_jax.sample"), "--dtype=float32"])
    video = probe("video.mp4")
    assert (video.fps, video.num_frames, video.height, video.width) == (24, 5, 16, 16)


@pytest.mark.parametrize("frames", [(), (4,)])
def test_keyframes_may_be_anywhere_or_nowhere(pipe, frames):
    pictures = {frame: np.zeros((32, 32, 3), np.uint8) for frame in frames}
    assert pipe("a rabbit", keyframes=pictures, progress=False).frames.shape == (5, 16, 16, 3)


def test_samples_are_written_while_it_trains(workdir):
    names = {path.name for path in (workdir / "samples").iterdir()}
    assert {"step_000002_sample.mp4", "step_000002_sample.gif"} <= names


def test_the_paper_s_stage_trains_samples_and_is_exported(walked, tmp_path, monkeypatch):
    """MTV Eq. 1 and the paper's controlnet, by flags of a stage."""
    monkeypatch.chdir(walked)
    arguments = [
        *("--config=configs/stage4.py", f"--workdir={tmp_path}", "--config.data.dir=shards"),
        *("--config.data.mixture.sound_event=0", "--config.init_from="),
        *TINY,
        "--config.model.variant=mtv_5b_paper",
        *("--config.loss.kind=mse", "--config.loss.schedule.prediction=epsilon", "--config.sample.every=0"),
    ]
    assert command.main(arguments) == 0
    paper = Pipeline.from_pretrained(tmp_path / "pipeline")
    assert isinstance(paper.schedule, Schedule)
    assert paper.schedule.config.prediction == "epsilon"
    assert paper.denoiser.config.controlnet.separate_feed_forward
    frames = np.asarray(paper("noise", progress=False).frames)
    assert frames.shape == (5, 16, 16, 3)
    assert frames.std() > 0


def test_convert_writes_the_same_folder(workdir, tmp_path, monkeypatch):
    monkeypatch.chdir(workdir.parent.parent)
    convert.main(["--from", "train", "--in", str(workdir), "--out", str(tmp_path / "out")])
    written = "controlnet/model.safetensors"
    assert (tmp_path / "out" / written).read_bytes() == (workdir / "pipeline" / written).read_bytes()
    with pytest.raises(UserError, match="exists already"):
        convert.main(["--in", str(workdir), "--out", str(tmp_path / "out")])


def test_a_directory_without_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        convert.main(["--in", str(tmp_path), "--out", str(tmp_path / "out")])
