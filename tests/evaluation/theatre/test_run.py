"""The command of the theatre suite: what is generated, what is reported, what is refused."""

import json
import shutil

import numpy as np
import pytest

from mtv_jax import evaluate
from mtv_jax.evaluation.report.output import SHEET
from mtv_jax.evaluation.report.schema import read_report
from mtv_jax.evaluation.syncsynth import NULLS
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.evaluation.theatre.cases import performed
from mtv_jax.evaluation.theatre.pipeline import write_outcome
from mtv_jax.evaluation.theatre.run import Run, _sync, evaluation_clips, measure
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json
from mtv_jax.io.pictures import read_image
from mtv_jax.io.video import probe
from mtv_jax.theatre import EVALUATION_SEEDS, SoundLibrary, TheatreConfig

STAGE = TheatreConfig(height=32, width=32, num_frames=13)


@pytest.fixture(scope="module")
def readers():
    return theatre_readers.readers_of(theatre_readers.fitting_clips(60))


@pytest.fixture(scope="module")
def generated():
    """Cases that the fake generator below was asked for."""
    return []


@pytest.fixture(scope="module")
def outcome(readers, generated):
    """Four clips under two noises; the generator is the theatre, the autoencoder loses everything."""

    def generate(cases):
        generated.extend(cases)
        return map(performed, cases)

    def blacken(videos):
        return (np.zeros_like(video) for video in videos)

    return measure(Run(STAGE, clips=4, seeds=2, seed=5, shown=3), readers, generate, blacken)


@pytest.fixture(scope="module")
def report(outcome, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    write_outcome(out, outcome, {"preset": "some"}, untrained=("vae",), videos=2)
    return out


def test_clips_are_of_seeds_that_training_cannot_reach():
    clips = evaluation_clips(Run(STAGE, clips=2, seed=5))
    assert [(clip.plan.seed, clip.plan.index) for clip in clips] == [
        (EVALUATION_SEEDS + 5, 0),
        (EVALUATION_SEEDS + 5, 1),
    ]
    assert clips[0].plan.config == STAGE


def test_real_sounds_take_the_place_of_voices_and_strikes_only():
    made, real = (
        evaluation_clips(Run(STAGE, clips=8, seed=5, recordings=recordings))
        for recordings in (None, SoundLibrary.held_out())
    )
    assert [clip.plan for clip in made] == [clip.plan for clip in real]
    for name, same in (("speech", False), ("effects", False), ("music", True)):
        heard = [(a.tracks[name], b.tracks[name]) for a, b in zip(made, real, strict=True)]
        heard = [pair for pair in heard if pair[0].any()]
        assert heard
        assert all(np.array_equal(*pair) == same for pair in heard)


def test_recordings_are_too_few_for_a_null_of_syncsynth():
    made, real = (_sync(Run(TheatreConfig(), recordings=x)) for x in (None, SoundLibrary.held_out()))
    assert made is not None
    assert len(made.null) == NULLS
    assert real is None


def test_every_clip_is_generated_from_every_noise(outcome, generated):
    assert {case.seed for case in generated} == {5, 6}
    assert len(generated) > 4 * 2 * 2
    assert {case.clip.plan.index for case in generated} == {0, 1, 2, 3}
    by_seed = [[c.clip.plan.index for c in generated if c.seed == seed] for seed in (5, 6)]
    assert by_seed[0] == by_seed[1]


def test_figures_stand_beside_their_ceilings(outcome):
    found = {figure.id: figure for figure in outcome.figures}
    for figure in found.values():
        # The generator is the ground truth here, and both noises show the same.
        assert figure.value == pytest.approx(figure.baselines["theatre"])
        assert figure.n <= 4
    assert "sync.without_speech" in found
    assert found["events.f1"].baselines["theatre"] > 0.8
    assert found["events.f1"].baselines["autoencoder"] == 0.0


def test_the_first_clips_are_kept_as_they_are(outcome):
    assert len(outcome.clips) == len(outcome.frames) == 3
    assert outcome.frames[0].shape == (13, 32, 32, 3)


def test_results_hold_figures_and_where_they_come_from(report, outcome):
    results = read_report(report / "results.json")
    assert (results.suite, results.untrained, results.provenance) == ("theatre", ["vae"], {"preset": "some"})
    assert results.figures == outcome.figures
    assert [row.shown for row in results.rows] == [True, True]


def test_the_page_needs_nothing_from_elsewhere(report, outcome):
    page = (report / "index.html").read_text()
    assert "http" not in page
    assert "not trained: vae" in page
    for figure in outcome.figures:
        assert f"id='{figure.id}'" in page
    for name in ("videos/clip_000.mp4", "videos/clip_001.mp4", SHEET):
        assert name in page
    assert probe(report / "videos" / "clip_001.mp4").has_audio
    assert not (report / "videos" / "clip_002.mp4").exists()
    assert read_image(report / SHEET).shape[2] == 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no videos"),
        (["--clips", "200"], "--clips: only with --suite"),
        (["a.mp4", "--guidance-scale", "2"], "--guidance-scale: only with"),
        (["a.mp4", "--suite", "theatre"], r"a\.mp4: --suite theatre makes its own videos"),
        (["--suite", "theatre"], "--preset NAME"),
        (["--suite", "theatre", "--preset", "no-such-place"], "no such folder"),
        (["--suite", "theatre", "--preset", "tiny", "--scene", "x"], "--scene x: is for a video"),
    ],
)
def test_bad_combinations_are_refused(argv, message, tmp_path):
    with pytest.raises(UserError, match=message):
        evaluate.main([*argv, "--out", str(tmp_path)])


@pytest.mark.parametrize("argv", [["--suite", "opera"], ["--suite", "theatre", "--clips", "0"]])
def test_bad_values_exit_with_2(argv, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        evaluate.main([*argv, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert argv[-1] in capsys.readouterr().err


@pytest.mark.parametrize(("seed", "message"), [(-1, "seed -1"), (2**31, "seed 2147483648")])
def test_seeds_stay_between_training_and_the_readers(seed, message):
    with pytest.raises(UserError, match=message):
        Run(STAGE, seed=seed)


@pytest.fixture
def untrained(pipeline_folder, tmp_path):
    """The smallest pipeline, of whose autoencoder no weights are there."""
    folder = tmp_path / "untrained"
    shutil.copytree(pipeline_folder, folder, ignore=drop)
    config = read_json(folder / "vae" / "config.json")
    write_json(folder / "vae" / "config.json", config | {"_untrained_seed": 0})
    return folder


def drop(path, names):
    return [name for name in names if path.endswith("vae") and name.endswith(".safetensors")]


def test_random_weights_are_measured_only_if_allowed_and_then_invalid(
    untrained, tmp_path, monkeypatch, capsys, readers
):
    monkeypatch.setattr(theatre_readers, "fit_readers", lambda *_: readers)
    argv = ["--suite", "theatre", "--preset", str(untrained), "--out", str(tmp_path / "out")]
    with pytest.raises(UserError, match="--allow-random-weights"):
        evaluate.main(argv)
    sizes: dict[str, object] = {
        "clips": 2,
        "seeds": 1,
        "steps": 1,
        "guidance-scale": 1,
        "batch-size": 4,
        "videos": 1,
    }
    sizes["dtype"] = "bfloat16"
    options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
    assert evaluate.main([*argv, *options, "--real-sounds", "--allow-random-weights"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["valid"] is False
    reported = results["provenance"]
    assert (reported["sampler"], reported["dtype"]) == ("ddim", "bfloat16")
    assert reported["recordings"] == SoundLibrary.held_out().identity
    assert {name: reported[name.replace("-", "_")] for name in ("clips", "seeds", "steps")} == {
        "clips": 2,
        "seeds": 1,
        "steps": 1,
    }
    assert set(reported["packages"]) == {"mtv_jax", "jax", "flax", "numpy"}
    assert "controlnet/config.json" in reported["files"]
    assert "targets met" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        SHEET,
        "index.html",
        "results.json",
        "videos",
    ]
    again = [*argv, *options, "--real-sounds", "--allow-random-weights"]
    assert evaluate.main(again) == 0
    assert "the same measurement was made before" in capsys.readouterr().out
    with pytest.raises(UserError, match="--overwrite"):
        evaluate.main([*again, "--seed", "1"])
