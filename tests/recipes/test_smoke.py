"""Each recipe runs at toy size and leaves what it is for; none runs when it is imported."""

import importlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from mtv_jax.audio.separation.by_text.audiosep import AudioSep
from mtv_jax.evaluation.syncsynth import load_syncsynth
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.training.checkpoint import Checkpoints
from mtv_jax.weights.model_index import text_options
from mtv_jax.weights.pretrained import load_config, load_model
from recipes import (
    cut_recordings,
    make_patches,
    report_picture,
    train_objects_separator,
    train_syncsynth,
    train_tiny_text,
    training_report,
)


def test_cut_recordings_cuts_speech_at_its_turns_and_strikes_at_their_onset(tmp_path):
    rate = cut_recordings.TRACK_RATE
    noise = np.random.default_rng(0).normal(0, 0.1, 30 * rate).astype(np.float32)
    write_audio(tmp_path / "speech.wav", noise, rate)
    quiet = np.zeros(rate, np.float32)
    quiet[rate // 2 :] = noise[: rate // 2]
    for props in cut_recordings.STRIKES.values():
        for file in (file for files in props.values() for file in files):
            write_audio(tmp_path / f"{file}.flac", quiet, rate)
    out = tmp_path / "out"
    cut_recordings.main([str(tmp_path / "speech.wav"), str(tmp_path), "--out", str(out)])
    assert len(list(out.rglob("*.flac"))) == 4 + 15
    speech = read_audio(out / "training/speech/b.flac", rate)
    assert len(speech) == round((17.92 - 14.70 + cut_recordings.PAUSE) * rate)
    strike = read_audio(out / "held_out/bell/drum_cowbell.flac", rate)
    assert abs(len(strike) - rate // 2) < 0.01 * rate
    assert np.abs(strike).max() == pytest.approx(0.95, abs=0.01)


class Saved:
    """The checkpoints of a run that has saved its config."""

    def __init__(self, workdir, read_only):
        assert read_only

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def latest(self):
        return 20

    def run(self, step):
        data = {"batch_size": 4, "mixture": {"basic_face": 1.0, "sound_event": 0.0}}
        return {"config": {"data": data, "optimizer": {"learning_rate": 1e-3}, "seed": 7}}


def test_training_report_sums_times_and_averages_tenths_of_a_run(tmp_path, monkeypatch):
    assert all(hasattr(Checkpoints, name) for name in vars(Saved))
    monkeypatch.setattr(training_report, "Checkpoints", Saved)
    lines = [{"step": step, "loss": float(step), "step_time": 6.0} for step in range(1, 21)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    training_report.main([str(tmp_path), "--out", str(tmp_path / "training.json")])
    found = json.loads((tmp_path / "training.json").read_text())
    run = found["runs"][str(tmp_path)]
    assert found["minutes"] == run["minutes"] == 2.0
    assert run["mixture"] == {"basic_face": 1.0}
    assert [part["loss"] for part in run["means"]] == [1.5 + 2 * part for part in range(10)]
    assert "jax" in found["packages"]


@pytest.mark.slow
def test_train_tiny_text_leaves_an_encoder_and_its_tokenizer(tmp_path, capsys):
    train_tiny_text.main(["--steps=2", "--prompts=60", "--out", str(tmp_path)])
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "text.json").read_text())
    assert 0 <= report["right"] <= 1
    assert load_config(tmp_path / "text_encoder") == train_tiny_text.CONFIG
    assert (tmp_path / "tokenizer" / "tokenizer.json").exists()


def test_patches_are_the_patches_themselves_as_loud_as_they_are(tmp_path):
    make_patches.main(["--out", str(tmp_path)])
    model, params = load_model(tmp_path / "imagebind")
    mel = np.random.default_rng(0).standard_normal((1, 128, 204)).astype(np.float32)
    encoded: Any = model.apply(params, np.concatenate([mel, mel / 4]))
    positions = np.asarray(params["params"]["audio"]["position_embedding"])
    loud, soft = np.asarray(encoded.tokens) - positions
    patch = mel[0, 16:32, 32:48].reshape(-1)  # row 1, column 2 of 8 x 12
    projected = patch @ np.asarray(params["params"]["audio"]["patch_embedding"]["kernel"]).reshape(256, -1)
    rows = (projected - projected.mean()) / np.linalg.norm(projected)
    np.testing.assert_allclose(loud[1 + 12 + 2] / np.linalg.norm(loud[1 + 12 + 2]), rows, atol=1e-2)
    np.testing.assert_allclose(loud[1:].std(), 1, atol=0.05)
    np.testing.assert_allclose(loud, 4 * soft, atol=0.1)
    assert len(np.unique(positions.round(4), axis=0)) == 97
    assert text_options(tmp_path) == make_patches.TEXT


@pytest.mark.slow
def test_train_objects_separator_leaves_an_audiosep(tmp_path):
    out = tmp_path / "out"
    train_objects_separator.main([f"--out={out}", "--steps=2", "--sounds=1", "--clips=1"])
    fit = json.loads((out / "fit.json").read_text())
    assert fit["held_out"]["sources"] == 2
    mix = np.random.default_rng(0).standard_normal((16000, 1)).astype(np.float32)
    tracks = AudioSep(str(out)).separate(mix, 16000, ["bell", "rain"])
    assert {name: track.shape for name, track in tracks.items()} == {"bell": (16000, 1), "rain": (16000, 1)}


@pytest.mark.slow
def test_train_syncsynth_leaves_weights_with_their_record(tmp_path, capsys):
    train_syncsynth.main(["--steps=2", "--examples=48", "--out", str(tmp_path)])
    record = json.loads(capsys.readouterr().out)
    assert record["steps"] == 2
    assert load_syncsynth(tmp_path).fit == record


@pytest.fixture
def mask_recipe(monkeypatch):
    """As where it is run, since it imports another script of its folder; with a small network."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "recipes")
    recipe = importlib.import_module("recipes.train_effects_mask")
    tiny = recipe.EffectsMaskConfig.tiny()
    monkeypatch.setattr(recipe, "EffectsMaskConfig", lambda: tiny)
    monkeypatch.setattr(recipe, "EXCERPT", 16 * recipe.HOP)
    monkeypatch.setattr(recipe, "KEPT_EVERY", 1)
    return recipe


@pytest.mark.slow
def test_train_effects_mask_goes_on_where_it_was_stopped(tmp_path, capsys, monkeypatch, mask_recipe):
    def options(name):
        small = ["--steps=3", "--music=2", "--sounds=4", "--residues=2"]
        return [*small, f"--out={tmp_path / name / 'mask'}", f"--workdir={tmp_path / name}"]

    def stopped(*args):
        yield next(made(*args))
        raise KeyboardInterrupt

    made = mask_recipe.batches
    with monkeypatch.context() as patch:
        patch.setattr(mask_recipe, "batches", stopped)
        with pytest.raises(KeyboardInterrupt):
            mask_recipe.main(options("stopped"))
    mask_recipe.main(options("stopped"))
    record = json.loads(capsys.readouterr().out)
    assert record["steps"] == 3
    mask_recipe.load_bank.cache_clear()
    mask_recipe.main(options("whole"))
    jax.tree.map(
        np.testing.assert_array_equal,
        load_model(tmp_path / "stopped" / "mask")[1],
        load_model(tmp_path / "whole" / "mask")[1],
    )
    with pytest.raises(UserError, match="holds a fit with other options"):
        mask_recipe.main([*options("whole"), "--steps=4"])


def test_the_picture_of_a_report_unfolds_the_clips_of_one_score():
    score = "<h3>{}<small></small></h3><details class=marks></details>"
    page = f"<head></head>{score.format('sound.dbfs')}{score.format('motion.flow')}"
    drawn = report_picture.laid_out(page, "motion.flow")
    assert "columns:" in drawn.partition("</head>")[0]
    assert drawn.endswith(score.format("motion.flow").replace("details class", "details open class"))
    assert score.format("sound.dbfs") in drawn
