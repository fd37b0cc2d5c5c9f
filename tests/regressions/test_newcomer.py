"""What newcomers reported: environments of several checkouts, memory, what a preset knows, scenes."""

import json
import os
import shutil
import subprocess
import venv
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtv_jax import Pipeline, curate, evaluate, sample, train
from mtv_jax.evaluation.scene import read_scene
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json
from mtv_jax.io.video import write_video
from mtv_jax.names import TRACKS
from mtv_jax.pipelines.describe import describe_pipeline
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.planning import memory, training_memory
from mtv_jax.planning.room import Room
from mtv_jax.text.template import scene_prompt
from mtv_jax.text.theatre_language import WORDS, examples, plan_of_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, plan_clip, render_frames
from mtv_jax.theatre.clip import describe
from mtv_jax.training import steps

ROOT = Path(__file__).resolve().parents[2]
BELL = ROOT / "mtv_jax" / "assets" / "scenes" / "bell"
ALONE = "No conversation. Scene Description: A stage with a bell in the middle, arch behind."


# An environment of several checkouts (found by a newcomer).


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment without pip: one that only records what it is asked to install."""
    folder = tmp_path_factory.mktemp("env") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "pip").mkdir()
    note = "import os, sys; open(os.environ['PIP_LOG'], 'a').write(' '.join(sys.argv[1:]) + '\\n')"
    (packages / "pip" / "__main__.py").write_text(note)
    return folder


def _make(environment: Path, checkout: Path, *targets: str) -> tuple[subprocess.CompletedProcess, str]:
    """`make` in a checkout, and the arguments of pip."""
    log = environment / "pip.log"
    log.unlink(missing_ok=True)
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MAKEFLAGS")}
    done = subprocess.run(
        ["make", f"VENV={environment}", *targets],
        cwd=checkout,
        env=env | {"PIP_LOG": str(log)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done, log.read_text() if log.exists() else ""


def _checkout(folder: Path) -> Path:
    (folder / "mtv_jax").mkdir(parents=True)
    (folder / "mtv_jax" / "__init__.py").touch()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_make_leaves_an_environment_to_the_checkout_it_has_installed(environment, tmp_path):
    """Found by a newcomer: a newer pyproject.toml re-pointed the editable install of another checkout."""
    mine, other = (_checkout(tmp_path / name) for name in ("mine", "other"))
    done, reported = _make(environment, mine, "setup")
    assert done.returncode == 0, done.stderr
    assert "--editable .[test]" in reported  # as in a fresh clone
    pointer = next(environment.glob("lib/python*/site-packages")) / "mtv_jax.pth"
    pointer.write_text(f"{other}\n")
    os.utime(mine / "pyproject.toml")
    done, reported = _make(environment, mine, "setup")
    assert done.returncode == 0, done.stderr
    assert reported == ""
    assert f"has {other} installed" in done.stderr
    shutil.rmtree(other)  # nobody's any more
    _, reported = _make(environment, mine, "setup")
    assert "--editable .[test]" in reported
    pointer.write_text(f"{mine}\n")
    _, reported = _make(environment, mine, "setup")
    assert reported == ""  # nothing is newer than what it noted


# Memory (found by attack: the kernel ended it).


class _LoadedError(Exception):
    """The pipeline would be loaded now."""


def test_a_video_that_does_not_fit_is_refused_before_work(tmp_path, monkeypatch):
    """Found by attack: a size without bound was tried until the kernel killed the process."""

    def load(*_, **__):
        raise _LoadedError

    monkeypatch.setattr(Pipeline, "from_pretrained", load)
    monkeypatch.setattr(memory, "device_room", lambda **_: Room("cpu", 8 * 2**30))
    command = ["--preset", "tiny", "--prompt", ALONE, "--out", str(tmp_path / "x.mp4")]
    command += ["--height", "8192", "--width", "4096"]
    with pytest.raises(UserError, match=r"needs about .* GiB of memory, cpu has 8 GiB free: .*; --force"):
        sample.main(command)
    with pytest.raises(_LoadedError):
        sample.main([*command, "--force"])
    with pytest.raises(_LoadedError):
        sample.main(command[:6])


def test_a_training_that_does_not_fit_is_refused_before_it_begins(frames, tmp_path, monkeypatch):
    """Found by a newcomer: out of memory was reported after minutes of compiling, or by the kernel."""
    small = "--config.model.overrides={'block_out_channels': (8, 8), 'temporal_compression_ratio': 2}"
    command = ["--config", "configs/vae.py:tiny", "--workdir", str(tmp_path), f"--config.data.dir={frames}"]
    command += [small, "--config.data.batch_size=2", "--config.num_steps=1", "--config.sample.every=0"]

    def begin(*_, **__):
        raise _LoadedError

    monkeypatch.setattr(steps, "compile_init", begin)
    monkeypatch.setattr(training_memory, "device_room", lambda **_: Room("cpu", 2**20))
    with monkeypatch.context() as patch:  # what it is made of: tests/planning/test_memory.py
        patch.setattr(
            training_memory, "training_need", lambda *_: memory.Need("a train step", {"all": 2**30})
        )
        with pytest.raises(UserError, match="a train step needs about 1.* GiB of memory, cpu has .*--force"):
            train.main(command)
    with pytest.raises(_LoadedError):
        train.main([*command, "--force"])
    monkeypatch.setattr(training_memory, "device_room", lambda **_: Room("cpu", 2**34))
    monkeypatch.setattr(training_memory, "training_need", None)  # far within: not looked at more closely
    with pytest.raises(_LoadedError):
        train.main(command)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Shards of two clips of five frames of 32 x 32 pixels."""
    from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
    from mtv_jax.data.shards import write_shards

    def record(number: int) -> ClipRecord:
        source = ClipSource("noise.mp4", "0" * 64, number, number + 1, (1, 8))
        name = clip_id(source.sha256, number, number + 1, (1, 8))
        return ClipRecord(
            name, "noise", (8, 1), 5, 32, 32, source, {"video": np.zeros((5, 32, 32, 3), np.uint8)}
        )

    folder = tmp_path_factory.mktemp("frames")
    write_shards(folder, [record(0), record(1)], kind="frames")
    return folder


# What a preset knows (found by a newcomer).


@pytest.mark.parametrize(
    "flags", [["--describe", "--preset", "tiny"], ["--help"], ["--preset", "tiny", "-h"]]
)
def test_sample_says_what_the_preset_knows(flags, capsys):
    """Found by a newcomer: sizes and words that were never trained gave doubled heads, and nothing said which were."""
    sample.main(flags)
    shown = " ".join(capsys.readouterr().out.split())
    for reported in (
        "64 x 64 pixels",
        "25 frames, 2.08 s",
        "12 frames a second",
        "ddim, 8 steps",
        "Apache-2.0",
    ):
        assert reported in shown
    assert all(name in shown for name in TRACKS)
    vocabulary = read_json(pipeline_folder("tiny") / "tokenizer" / "tokenizer.json")["model"]["vocab"]
    assert all(word in shown for word in vocabulary if word.isalnum())
    assert all(prompt in shown for prompt in examples())


def test_a_pipeline_describes_itself():
    pipe: Any = SimpleNamespace(folder=pipeline_folder("tiny"))
    assert Pipeline.describe(pipe) == describe_pipeline(pipeline_folder("tiny"))
    with pytest.raises(UserError, match="not loaded from a folder"):
        Pipeline.describe(SimpleNamespace(folder=None))


def test_describe_needs_a_pipeline(tmp_path):
    with pytest.raises(UserError, match="--preset"):
        sample.main(["--describe"])
    with pytest.raises(UserError, match="no pipeline folder"):
        describe_pipeline(tmp_path)


def test_a_folder_without_a_description_is_described_by_its_configs(tmp_path):
    shutil.copytree(
        pipeline_folder("tiny"), tmp_path / "mine", ignore=shutil.ignore_patterns("*.safetensors", "about*")
    )
    shutil.rmtree(tmp_path / "mine" / "controlnet")
    shown = describe_pipeline(tmp_path / "mine")
    assert "none: it takes no sound" in shown
    assert "it knows 48, and no other" in shown
    assert "example" not in shown


def test_the_forms_have_all_words_of_the_theatre_and_prompts_are_read_back():
    for index in range(60):
        plan = plan_clip(7, index)
        words = describe(plan)
        read = plan_of_prompt(scene_prompt(words.scene, words.persons, words.speaking), plan.config)
        assert (read.actors, read.speaker, read.decor) == (plan.actors, plan.speaker, plan.decor)
        assert (read.prop and (read.prop.name, read.prop.place)) == (
            plan.prop and (plan.prop.name, plan.prop.place)
        )
        assert all(word in WORDS["SHIRT"] for actor in plan.actors for word in [actor.look.shirt])


# Scenes (found by a newcomer).


@pytest.fixture(scope="module")
def readers():
    return theatre_readers.readers_of(theatre_readers.fitting_clips(30))


@pytest.fixture
def own(tmp_path):
    """A scene of one's own: a prompt, and strikes at .4 and 1.1 s."""
    effects = np.zeros(24000, np.float32)
    for start in (6400, 17600):
        effects[start : start + 1600] = 0.3 * np.sin(np.arange(1600)) * np.linspace(1, 0, 1600)
    write_audio(tmp_path / "strikes.wav", effects, 16000)
    command = ["scene", "--out", str(tmp_path / "scene"), "--prompt", ALONE]
    curate.main([*command, "--effects", str(tmp_path / "strikes.wav")])
    return tmp_path / "scene"


def test_a_scene_is_made_of_a_prompt_and_sounds(own):
    """Found by a newcomer: only the source said how a scene folder is made."""
    reported = read_json(own / "scene.json")
    assert reported["num_frames"] == 18
    np.testing.assert_allclose(reported["onsets"], [0.4, 1.1], atol=0.02)
    assert read_scene(own).plan.event_frames == (4, 13)


@pytest.mark.parametrize(("num_frames", "fps"), [(18, 12), (24, 12), (10, 12), (36, 24), (15, Fraction(10))])
def test_a_scene_measures_a_video_of_any_length(own, readers, num_frames, fps, tmp_path, monkeypatch, capsys):
    """Found by a newcomer: a scene of 24 frames was refused, and a video of another length than its scene's."""
    monkeypatch.setattr(theatre_readers, "fit_readers", lambda *_: readers)
    scene = read_scene(own).seen_as(np.zeros((num_frames, 64, 64, 3), np.uint8), fps)
    assert (scene.plan.config.num_frames, scene.plan.config.fps) == (num_frames, fps)
    write_video(tmp_path / "x.mp4", render_frames(scene.plan, scene.performance), fps)
    assert evaluate.main([str(tmp_path / "x.mp4"), "--scene", str(own), "--out", str(tmp_path / "out")]) == 0
    assert "F1 within a frame: 1.00" in capsys.readouterr().out


def test_a_scene_of_a_clip_has_any_length(tmp_path):
    """Found by a newcomer: lengths that the preset takes were no scenes."""
    curate.main(
        ["scene", "--out", str(tmp_path / "a"), "--index", "1103", "--num-frames", "24", "--real-sounds"]
    )
    scene = read_scene(tmp_path / "a")
    assert scene.plan.config.num_frames == 24
    assert scene.plan.decor == plan_clip(EVALUATION_SEEDS, 1103).decor
    with pytest.raises(UserError, match="--overwrite"):
        curate.main(["scene", "--out", str(tmp_path / "a")])
    curate.main(["scene", "--out", str(tmp_path / "a"), "--overwrite"])
    curate.main(["scene", "--out", str(tmp_path), "--overwrite"])
    assert (tmp_path / "a/scene.json").exists()  # what else is in a folder stays


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": None}, "'fps' is missing; it is a frame rate"),
        ({"num_frames": "25"}, "'num_frames' is a whole number, not '25'"),
        ({"num_frames": True}, "'num_frames' is a whole number"),
        ({"fps": [12]}, "'fps' is a frame rate"),
        ({"fps": "0"}, "'fps' is a frame rate"),
        ({"onsets": 0.5}, "'onsets' is a list of seconds"),
        ({"onsets": ["0.5"]}, "'onsets' is of numbers"),
        ({"onsets": [float("nan")]}, "NaN is not a JSON number"),
        ({"onsets": None, "onset": [0.5]}, "'onsets' is missing .there is 'onset'."),
        ({"mood": "glad"}, "'mood' is null, or"),
        ({"mood": {"valence": 0.5}}, "'mood' is null, or"),
        ({"mood": {"valence": 0.5, "energy": 5}}, "'mood' is null, or"),
        ({"theatre": {"seed": 1}}, "'theatre' is .\"seed\": N"),
        ({"theatre": {"seed": -1, "index": 0}}, "'theatre' is .\"seed\": N"),
        ({"theatre": None, "prompt": "a bell"}, "no 'theatre', and prompt 'a bell': not as the theatre's"),
        ({"prompt": 5}, "'prompt' is a text, not '5'"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_an_error_in_a_scene_is_reported_with_its_field(change, message, tmp_path):
    """Found by a newcomer: a field that was missing was reported as `KeyError: 'fps'`."""
    reported = read_json(BELL / "scene.json") | change
    gone = [name for name, value in change.items() if value is None]
    write_json(tmp_path / "scene.json", {name: value for name, value in reported.items() if name not in gone})
    with pytest.raises(UserError, match=message) as error:
        read_scene(tmp_path)
    assert str(tmp_path / "scene.json") in str(error.value)


def test_a_scene_that_is_no_object_is_reported(tmp_path):
    write_json(tmp_path / "scene.json", ["prompt"])
    with pytest.raises(UserError, match="holds a list; an object is needed"):
        read_scene(tmp_path)
