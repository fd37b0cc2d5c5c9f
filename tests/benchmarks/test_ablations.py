"""The table of the ablations: means over trainings, and differences from the full model within a seed."""

import pytest

from benchmarks.ablations import SHOWN, STUDENT_T, table

ID = SHOWN[0]


def results(*values):
    """Figures by seed, as `measure` gives them; None: the figure is undefined."""
    return {seed: [{"id": ID, "value": value}] for seed, value in enumerate(values)}


def rows(**found):
    return {row["variant"]: row for row in table(found) if row["id"] == ID}


def test_differences_are_within_a_seed():
    # Seeds differ by far more than the variants, which the difference does not see.
    found = rows(full=results(0.1, 0.5, 0.9), frozen_backbone=results(0.0, 0.4, 0.8))
    apart = found["frozen_backbone"]["less_full"]
    assert apart["mean"] == pytest.approx(-0.1)
    assert apart["interval"] == pytest.approx([-0.1, -0.1])
    low, high = found["full"]["interval"]
    assert (low + high) / 2 == pytest.approx(found["full"]["mean"]) == pytest.approx(0.5)
    assert (high - low) / 2 == pytest.approx(STUDENT_T[3] * 0.4 / 3**0.5)


def test_the_full_model_is_not_compared_with_itself():
    assert rows(full=results(0.1, 0.2))["full"]["less_full"] == {"mean": None, "interval": None}


def test_undefined_figures_are_not_counted():
    found = rows(full=results(None, 0.5, 0.7), frozen_backbone=results(0.2, None, 0.6))
    assert found["full"]["mean"] == pytest.approx(0.6)
    assert found["frozen_backbone"]["mean"] == pytest.approx(0.4)
    assert found["frozen_backbone"]["less_full"]["mean"] == pytest.approx(-0.1)
    assert found["frozen_backbone"]["less_full"]["interval"] is None


def test_a_seed_that_only_one_variant_has_is_not_compared():
    found = rows(full=results(0.5), frozen_backbone=results(0.4, 0.9))
    assert found["frozen_backbone"]["less_full"]["mean"] == pytest.approx(-0.1)
