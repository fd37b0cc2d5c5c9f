"""Rows beside the papers' tables."""

import pytest

from mtv_jax.evaluation.report.claims import CLAIMS
from mtv_jax.evaluation.report.schema import Figure, Report
from mtv_jax.evaluation.videos.options import TABLE_NAMES
from mtv_jax.evaluation.videos.tables import TABLES, table_lines


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_the_columns_and_every_column_a_figure(name):
    table = TABLES[name]
    assert {len(values) for values in table.rows.values()} == {len(table.columns)} == {len(table.figures)}
    known = set(CLAIMS) | {"fvd.i3d_k400", "sync.syncnet_c", "sync.syncnet_d"}
    assert set(table.figures) <= known


def test_the_command_knows_every_table():
    assert list(TABLES) == list(TABLE_NAMES)


def test_values_have_the_paper_s_digits():
    lines = list(table_lines("maestro2", Report("videos", [Figure("ia.score", 0.43217, 20)], {})))
    assert "| N_Q = 10 | 0.3743 | 0.5502 |" in lines
    assert "| these videos | 0.4322 | - |" in lines


def test_our_row_stands_below_the_papers_with_what_was_measured():
    figures = [Figure("ia.score", 0.4321, 20), Figure("av_align.score", 0.5, 19)]
    lines = list(table_lines("maestro3", Report("videos", figures, {}, untrained=["ia_imagebind"])))
    assert "| Maestro | 585.90 | 0.37 | 0.55 |" in lines
    assert (
        lines.index("| these videos | - | 0.43 | 0.50 |")
        == lines.index("| Maestro | 585.90 | 0.37 | 0.55 |") + 1
    )
    assert any("not comparable" in line for line in lines)
    assert "- these videos: n = 19, 20" in lines
    assert lines[-1] == "- not a valid result: random weights: ia_imagebind"
