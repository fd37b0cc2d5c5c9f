"""The table of ways to place things, at toy size on a Maestro of random weights, and that of the CIM's ablations."""

import dataclasses
import json
from fractions import Fraction

import pytest
from maestro_folders import SIZE, write_maestro

from benchmarks import cim_ablations, maestro
from mtv_jax.evaluation.report.schema import Figure, Report
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import write_json, write_text
from mtv_jax.models.registry import make_config
from mtv_jax.training.cim_task import CIMLossConfig
from mtv_jax.training.configs import load_train_config, train_config
from mtv_jax.weights.model_index import index_json


@pytest.mark.slow
def test_maestro(tmp_path):
    folder = write_maestro(tmp_path / "small")
    size = dataclasses.replace(SIZE, clip=ClipSize(16, Fraction(2), 64, 96))
    write_json(folder / "model_index.json", index_json(size))
    rows = ["pairs/both", "pairs/controls", "triples/vanilla", "frames/32"]
    given = [f"--preset={folder}", f"--out={tmp_path / 'out'}", "--clips=2", "--steps=2", "--rows"]
    maestro.main([*given, *rows[1:]])
    maestro.main([*given, rows[0]])
    found = json.loads((tmp_path / "out" / "table.json").read_text())["rows"]
    assert list(found) == rows
    assert found["pairs/both"]["accuracy"]["ceilings"]["theatre"] == 1
    assert [name for name in rows if "other_boxes" in found[name]] == ["pairs/controls"]
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    named = [
        line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| p") or "/" in line
    ]
    ceilings = ["pairs/the world's frames", "pairs/after the autoencoder"]
    assert named == [*rows, *ceilings, "pairs/controls"]
    assert lines[1 + 1 + len(rows)].startswith("| pairs/the world's frames | 2 | 1.00 | 1.00 | ")


def test_each_ablation_changes_its_value_of_the_cim():
    found = {}
    for name, flag in cim_ablations.VARIANTS.items():
        key, value = flag.removeprefix("--config.").split("=")
        config = train_config(load_train_config("configs/maestro/cim.py:tiny", {key: value}).to_dict())
        assert isinstance(config.loss, CIMLossConfig)
        network = make_config(config.model.name, config.model.variant, config.model.overrides)
        found[name] = (config.loss.lambda_1, network.cim.num_queries)
    lambdas, queries = cim_ablations.LAMBDAS, cim_ablations.QUERIES
    assert found == {
        **{f"lambda_1 {value:g}": (value, 5) for value in lambdas},
        **{f"N_Q {count}": (0.5, count) for count in queries},
    }


def test_the_table_of_ablations_has_a_row_for_each_training(tmp_path, monkeypatch, capsys):
    trained = []

    def train(name, _seed, _steps, workdir):
        trained.append(name)
        steps = [{"step": n, "text_sound": 9.0 if n < 10 else 0.25} for n in range(60)]
        write_text(workdir / "metrics.jsonl", "\n".join(json.dumps(step) for step in steps))

    monkeypatch.setattr(cim_ablations, "train", train)

    def evaluate(options, _out, **_):
        assert options.clips == 3
        return Report("objects", [Figure("objects.accuracy", 0.5, 3, [0.25, 0.75])], {}), False

    monkeypatch.setattr(cim_ablations, "evaluate_objects", evaluate)
    names = ["lambda_1 0.5", "N_Q 10"]
    cim_ablations.main([f"--out={tmp_path}", "--clips=3", "--only", *names])
    assert trained == names
    assert "| N_Q 10 | 3 | 0.50 (0.25 to 0.75) | - | - | - | - | 0.25 |" in capsys.readouterr().out
    assert list(json.loads((tmp_path / "table.json").read_text())["rows"]) == names
    with pytest.raises(SystemExit, match="2"):  # rows of two seeds would stand in one table
        cim_ablations.main([f"--out={tmp_path}", "--clips=3", "--seed=1", "--only", names[0]])
    assert "table.json: its rows have other --seed; give another --out" in capsys.readouterr().err
    assert trained == names
