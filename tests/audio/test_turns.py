"""Turns and their files."""

import pytest

from mtv_jax.audio.turns import Turn, read_rttm, write_rttm
from mtv_jax.io.errors import UserError


def test_turns_are_written_in_order_and_read_again(tmp_path):
    turns = [Turn(1.25, 2.5, "b"), Turn(0.5, 1.5, "a")]
    write_rttm(tmp_path / "a.rttm", turns, "talk")
    text = (tmp_path / "a.rttm").read_text()
    assert text.splitlines()[0] == "SPEAKER talk 1 0.500 1.000 <NA> <NA> a <NA> <NA>"
    assert read_rttm(tmp_path / "a.rttm") == sorted(turns)


def test_lines_of_other_kinds_are_ignored_and_damaged_ones_named(tmp_path):
    path = tmp_path / "a.rttm"
    path.write_text(
        "SPKR-INFO talk 1 <NA> <NA> <NA> unknown a <NA> <NA>\n\nSPEAKER talk 1 1 2 <NA> <NA> a <NA>\n"
    )
    assert read_rttm(path) == [Turn(1, 3, "a")]
    for line in ("SPEAKER talk 1 one 2 <NA> <NA> a", "SPEAKER talk 1 1 2"):
        path.write_text(f"\n{line}\n")
        with pytest.raises(UserError, match=r"a\.rttm: line 2 is no turn: 'SPEAKER"):
            read_rttm(path)


@pytest.mark.parametrize(("start", "end"), [(1, 1), (2, 1), (-1, 1), (0, float("nan")), (0, float("inf"))])
def test_a_turn_has_a_beginning_and_a_later_end(start, end):
    with pytest.raises(UserError, match="before its end"):
        Turn(start, end, "a")
