"""The objects suite on a Maestro of the smallest networks: methods differ in their boxes only, and reports are kept."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from front_doors import exit_code
from maestro_folders import SIZE, write_maestro

from mtv_jax import Pipeline, evaluate
from mtv_jax.evaluation.objects.cases import OWN, evaluation_clips, performed, variants
from mtv_jax.evaluation.objects.pipeline import request_of, separated
from mtv_jax.evaluation.report.schema import read_report
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import write_json
from mtv_jax.weights.model_index import index_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_maestro(tmp_path_factory.mktemp("maestro") / "small")
    size = dataclasses.replace(SIZE, clip=ClipSize(16, Fraction(2), 64, 96))
    write_json(folder / "model_index.json", index_json(size))
    return folder


@pytest.fixture(scope="module")
def case():
    return variants(evaluation_clips(2, things=2), 0)[0][OWN]


def test_methods_say_which_steps_locate_and_vanilla_has_no_boxes(folder, case):
    pipe = Pipeline.from_pretrained(folder)
    found = {
        method: request_of(pipe, case, method, None, 4).scene
        for method in ("both", "locating", "denoising", "vanilla")
    }
    timesteps = pipe.schedule.sampling_levels(4).timesteps
    located = {method: int((timesteps >= scene.locate_until).sum()) for method, scene in found.items()}
    assert located == {"both": 2, "locating": 4, "denoising": 0, "vanilla": 4}
    assert found["vanilla"].options.strength == 0
    assert found["both"].options.strength > 0
    assert request_of(pipe, case, "both", 3, 4).scene.locate_until == timesteps[2]
    twice = pipe.schedule.sampling_levels(8).timesteps
    share = request_of(pipe, case, "both", None, 8).scene.locate_until
    assert (twice >= share).sum() == 4  # the timesteps of 2 of the folder's 4 steps
    for kind, place in found["both"].places.items():
        np.testing.assert_allclose(place.boxes(1, Fraction(2))[0], case.clip.places[kind], atol=1e-6)


def test_perfect_frames_of_its_own_case_are_the_clips(case):
    np.testing.assert_array_equal(performed(case), case.clip.frames)


def test_the_command_measures_a_folder_once(folder, tmp_path, capsys):
    flags = ["--suite", "objects", "--preset", str(folder), "--clips", "2", "--steps", "2", "--videos", "1"]
    out = tmp_path / "out"
    assert evaluate.main([*flags, "--out", str(out)]) == 0
    report = read_report(out / "results.json")
    values = {figure.id: figure for figure in report.figures}
    assert values["objects.accuracy"].baselines["theatre"] == 1
    assert values["objects.accuracy"].n == 2
    assert (out / report.rows[0].video).exists()
    assert (out / report.contact_sheet).exists()
    assert "share of boxes with the right thing" in capsys.readouterr().out
    assert evaluate.main([*flags, "--out", str(out)]) == 0
    assert "the same measurement was made before" in capsys.readouterr().out


def test_separated_sounds_are_those_of_the_mix(case):
    class Halves:
        def card(self):
            raise AssertionError("nothing is written about it")

        def separate(self, samples, sample_rate, words):
            assert sample_rate == 16000
            return {word: samples * (number + 1) for number, word in enumerate(words)}

    found = separated(case, Halves()).sounds
    mix = sum(case.sounds.values())
    for number, name in enumerate(case.sounds):
        np.testing.assert_allclose(found[name], mix * (number + 1), atol=1e-6)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--suite", "objects", "--preset", "tiny"], "measures Maestro"),
        (
            ["--suite", "objects", "--preset", "x", "--method", "vanilla", "--locating-steps", "3"],
            "is for the method both",
        ),
        (["--suite", "objects", "--preset", "x", "--separated"], "the controls have no mix"),
        (["--suite", "objects", "--preset", "x", "--mixed"], "with another --suite"),
        (["--suite", "theatre", "--preset", "tiny", "--things", "3"], "with another --suite"),
    ],
)
def test_bad_usage_is_one_line(flags, words, tmp_path, capsys):
    assert exit_code(evaluate.main, *flags, "--out", tmp_path / "out") == 2
    assert words in capsys.readouterr().err
