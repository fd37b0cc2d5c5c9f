"""The table of ways to place things, at toy size on a Maestro of random weights."""

import dataclasses
import json
from fractions import Fraction

import pytest
from maestro_folders import SIZE, write_maestro

from benchmarks import maestro
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import write_json
from mtv_jax.weights.model_index import index_json


@pytest.mark.slow
def test_maestro(tmp_path):
    folder = write_maestro(tmp_path / "small")
    size = dataclasses.replace(SIZE, clip=ClipSize(16, Fraction(2), 64, 96))
    write_json(folder / "model_index.json", index_json(size))
    rows = ["pairs/both", "triples/vanilla", "frames/32"]
    given = [f"--preset={folder}", f"--out={tmp_path / 'out'}", "--clips=2", "--steps=2", "--rows", *rows]
    maestro.main(given)
    found = json.loads((tmp_path / "out" / "table.json").read_text())["rows"]
    assert list(found) == rows
    assert found["pairs/both"]["accuracy"]["ceilings"]["theatre"] == 1
    assert "other_boxes" in found["pairs/both"]
    assert "other_boxes" not in found["triples/vanilla"]
    assert (tmp_path / "out" / "table.md").read_text().count("\n| ") == len(rows)
