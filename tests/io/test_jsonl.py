"""Append-only JSONL files: what was flushed survives a crash, and nothing else is read."""

import json

import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.io.jsonl import RowWriter, read_rows


def row(item="c", **values):
    return {"item": item, **values}


def test_rows_are_read_as_they_were_appended(tmp_path):
    path = tmp_path / "work" / "ledger.jsonl"
    for number in range(2):
        with RowWriter(path) as ledger:
            ledger.append([row(name=f"é{number}\n"), row("d")])
    assert [found["item"] for found in read_rows(path)] == ["c", "d"] * 2
    assert [found.get("name") for found in read_rows(path)][::2] == ["é0\n", "é1\n"]


@pytest.mark.parametrize("keep", [1, 40, -1, 0])
def test_a_row_that_a_crash_cut_off_is_ignored_and_then_removed(tmp_path, keep):
    path = tmp_path / "ledger.jsonl"
    with RowWriter(path) as ledger:
        ledger.append([row("a" * 100_000)])
        whole = path.stat().st_size
        ledger.append([row("b", about="x" * 60)])
    data = path.read_bytes()
    path.write_bytes(data[: whole + keep] if keep >= 0 else data[:keep])
    assert [found["item"][0] for found in read_rows(path)] == ["a"]
    with RowWriter(path) as ledger:
        ledger.append([row("c")])
    assert [found["item"][0] for found in read_rows(path)] == ["a", "c"]


def test_a_line_that_is_damaged_elsewhere_is_an_error(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text(f"{json.dumps(row())}\n{{oops\n{json.dumps(row())}\n")
    with pytest.raises(UserError, match=r"ledger\.jsonl: line 2 is damaged"):
        list(read_rows(path))
