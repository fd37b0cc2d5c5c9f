"""A mix as files: what `curate scene --things` writes, `evaluate --scene` measures a video by."""

import json

import numpy as np
import pytest
from front_doors import exit_code

from mtv_jax import curate, evaluate
from mtv_jax.evaluation.objects.cases import evaluation_clip
from mtv_jax.evaluation.report.schema import read_report
from mtv_jax.io.audio import read_audio
from mtv_jax.io.video import write_video


@pytest.fixture(scope="module")
def clip():
    return evaluation_clip(3, things=2)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mix") / "scene"
    curate.main(["scene", "--things", "2", "--index", "3", "--out", str(folder)])
    return folder


def measure(tmp_path, frames, scene):
    write_video(tmp_path / "video.mp4", frames, 2)
    assert evaluate.main([str(tmp_path / "video.mp4"), "--scene", str(scene), "--out", str(tmp_path)]) == 0
    return {
        figure.id.removeprefix("objects."): figure.value
        for figure in read_report(tmp_path / "results.json").figures
    }


def test_the_files_are_the_clips_sounds_and_places(scene, clip):
    for kind, sound in clip.sources.items():
        np.testing.assert_allclose(read_audio(scene / f"{kind}.flac", 16000), sound, atol=1e-4)
    np.testing.assert_allclose(read_audio(scene / "mix.flac", 16000), clip.mix, atol=1e-4)
    places = json.loads((scene / "scene.json").read_text())["places"]
    assert {kind: np.round(place, 4).tolist() for kind, place in clip.places.items()} == {
        kind: pytest.approx(place, abs=2e-4) for kind, place in places.items()
    }


def test_another_mix_replaces_all_files_of_the_former(tmp_path):
    for index in ("3", "1"):
        curate.main(["scene", "--things=2", "--index", index, "--out", str(tmp_path / "mix"), "--overwrite"])
    files = {path.name for path in (tmp_path / "mix").iterdir()}
    assert files == {"bird.flac", "car.flac", "mix.flac", "scene.json"}


def test_the_worlds_own_video_is_right_and_a_mirrored_one_is_not(scene, clip, tmp_path):
    right = measure(tmp_path / "right", clip.frames, scene)
    assert right["accuracy"] == right["all_right"] == 1
    assert right["overlap"] > 0.7
    assert not {"other_sounds", "silence"} & right.keys()
    assert (tmp_path / "right" / "contact_sheet.png").exists()
    mirrored = measure(tmp_path / "mirrored", clip.frames[:, :, ::-1], scene)
    assert mirrored["accuracy"] == 0


def test_what_is_no_scene_or_of_another_length_is_refused(scene, clip, tmp_path, capsys):
    write_video(tmp_path / "short.mp4", clip.frames[:9], 2)
    given = [tmp_path / "short.mp4", "--scene", scene, "--out", tmp_path / "out"]
    assert exit_code(evaluate.main, *map(str, given)) == 2
    assert "9 frames of 96 x 64; the scene has 16" in capsys.readouterr().err
    (tmp_path / "scene.json").write_text('{"objects": {"seed": 0, "index": -1, "things": 2}}')
    given[2] = tmp_path
    assert exit_code(evaluate.main, *map(str, given)) == 2
    assert "'objects' is" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("--prompt", "a bell"), ("--real-sounds",), ("--speech", "a.wav")])
def test_flags_of_the_theatre_are_refused(flags, tmp_path, capsys):
    assert exit_code(curate.main, "scene", "--things", "2", "--out", str(tmp_path / "out"), *flags) == 2
    assert f"{flags[0]}: is of a scene of the theatre" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
