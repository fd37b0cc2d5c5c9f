"""Configs of the training command: their values as golden, every field a flag, and those that earlier runs saved."""

import json

import pytest
from goldens import make_configs

REGENERATE = "if it was meant to change: python tests/goldens/make_configs.py"


@pytest.fixture(scope="module")
def golden():
    return json.loads(make_configs.FILE.read_text())


@pytest.mark.parametrize("spec", make_configs.SPECS)
def test_values_of_a_config_are_golden(spec, golden):
    assert make_configs.values(spec) == golden[spec], f"{spec} is another now; {REGENERATE}"


def test_the_golden_file_has_every_config(golden):
    files = {str(path.relative_to(make_configs.CONFIGS)) for path in make_configs.CONFIGS.rglob("*.py")}
    assert {spec.partition(":")[0] for spec in golden} == files - {"stages.py"}
    assert set(golden) == set(make_configs.SPECS), REGENERATE
