"""Films of the theatre with their truth, and the finder of its heads."""

import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.curation.report.truth import read_truth, truth_of
from mtv_jax.curation.sources import sources_of
from mtv_jax.io.files import read_json
from mtv_jax.io.video import probe, write_video
from mtv_jax.theatre import render_clip

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts_import_each_other(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_films_carry_what_is_true_of_their_clips(tmp_path):
    script = importlib.import_module("theatre_curation")
    script.make_films(tmp_path / "films", clips=5, each=2)
    films = sources_of(tmp_path / "films")
    assert not films.skipped
    assert {film.kind for film in films.found} == {"talking_head", "film"}
    parts = {part["index"]: (film, part) for film in films.found for part in read_truth(film.path)}
    assert sorted(parts) == [0, 1, 2, 3, 4]
    for index, (film, part) in parts.items():
        plan = render_clip(script.SEED, index, script.CONFIG).plan
        assert part["people"] == len(plan.actors) == len(part["faces"])
        assert part["speakers"] == (plan.speaker is not None) == any(face["speaks"] for face in part["faces"])
        assert part["subsets"] == ["basic_face"] or film.kind == "film"
        middle = (part["start"] + part["end"]) / 2
        assert truth_of(read_truth(film.path), middle - 1, middle + 1)["index"] == index
        assert all(part["start"] <= a < b <= part["end"] for face in part["faces"] for a, b in face["speaks"])
    longest = max(part["end"] for film, part in parts.values() if film.id == "film_00.mp4")
    assert float(probe(tmp_path / "films" / "film_00.mp4").duration) == pytest.approx(longest, abs=0.05)


def test_turns_are_joined_over_short_pauses():
    script = importlib.import_module("theatre_curation")
    opened = np.zeros(28, bool)
    opened[[2, 3, 8, 20]] = True
    fps = float(script.CONFIG.fps)
    expected = [[2 / fps, 9 / fps], [20 / fps, 21 / fps]]
    assert np.allclose(script.turns(opened, 0), expected)
    assert np.allclose(script.turns(opened, 12), np.add(expected, 1))
    assert script.turns(np.zeros(28, bool), 0) == []


def test_heads_are_found_in_the_pixels_alone(tmp_path, monkeypatch):
    script = importlib.import_module("theatre_heads")
    monkeypatch.setattr(script, "CLIPS", 60)
    heads = script.Heads()
    assert script.answer(heads, {}) == dataclasses.asdict(script.CARD)
    counts, errors = set(), []
    for index in (0, 1, 2):
        clip = render_clip(5, index)
        write_video(tmp_path / "clip.mp4", clip.frames, 12, crf=12)
        found = script.answer(heads, {"clip": str(tmp_path / "clip.mp4"), "fps": 5.0})["people"]
        json.dumps(found)
        true = clip.truth.head_boxes[:, np.arange(0, 25, 12 / 5).astype(int)] / 64
        counts.add(len(true))
        boxes = np.reshape([[face["box"] for face in frame] for frame in found], (11, -1, 4))

        errors += np.abs(boxes.swapaxes(0, 1) - true).ravel().tolist()
    assert counts == {0, 1, 2}
    assert max(errors) < 0.04
    assert np.mean(errors) < 0.012


def test_stages_start_from_the_one_before_and_read_their_shards(tmp_path, monkeypatch):
    script = importlib.import_module("theatre_shards")
    ran = []

    def run(module, *options):
        ran.append(options)
        (Path(options[options.index("--workdir") + 1]) / "pipeline").mkdir(parents=True)

    monkeypatch.setattr(script, "_run", run)
    last = script.train(tmp_path / "shards", tmp_path / "start", tmp_path / "out", 8, 4)
    assert last == tmp_path / "out" / "stage5" / "pipeline"
    starts = [next(flag for flag in options if "init_from" in flag) for options in ran]
    ends = [tmp_path / "start", *(tmp_path / "out" / f"stage{n}" / "pipeline" for n in (1, 2, 3, 4))]
    assert starts == [f"--config.init_from={end}" for end in ends]
    assert [options[1] for options in ran] == [f"configs/stage{n}.py:tiny" for n in (1, 2, 3, 4, 5)]
    assert all(f"--config.data.dir={tmp_path / 'shards'}" in options for options in ran)
    ran.clear()
    assert script.train(tmp_path / "shards", tmp_path / "start", tmp_path / "out", 8, 4) == last
    assert not ran


def test_the_table_has_each_figure_with_each_set():
    script = importlib.import_module("theatre_shards")
    figure = {"value": 0.5, "interval": [0.4, 0.6], "n": 3}
    found = {"own": {"lips": figure}, "curated": {"lips": figure | {"value": 0.4}, "mood": figure}}
    lips, mood = script.table(found)
    assert (lips["id"], lips["own"]["value"], lips["curated"]["value"]) == ("lips", 0.5, 0.4)
    assert "own" not in mood


@pytest.mark.slow
def test_curation_and_the_shards_of_the_same_clips(tmp_path, capsys):
    pytest.importorskip("scenedetect", reason="needs the extra `curate`")
    importlib.import_module("theatre_curation").main([f"--out={tmp_path}", "--clips=6", "--each=3"])
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] >= 1
    assert found["truth"] == read_json(tmp_path / "shards" / "report.json")["truth"]
    script = importlib.import_module("theatre_shards")
    script.own_shards(tmp_path / "shards", tmp_path / "films", tmp_path / "own")
    own, curated = (script.open_shards(tmp_path / name) for name in ("own", "shards"))
    assert own.subset_names == curated.subset_names
    one, other = own.read(0), curated.read(0)
    assert np.array_equal(one.arrays["latents_mean"], other.arrays["latents_mean"])
    assert (one.id, one.prompt == other.prompt) == (other.id, False)
