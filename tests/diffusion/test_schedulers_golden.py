"""Samplers against trajectories of diffusers, recorded by tests/goldens/make_schedulers.py."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "goldens"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_schedulers", FOLDER / "make_schedulers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(FOLDER / "schedulers.npz"))


def test_the_recorded_cases_are_those_of_the_generator(maker, golden):
    assert json.loads(str(golden["cases"])) == maker.cases()


@pytest.mark.parametrize("sampler", ["ddim", "dpm++"])
def test_trajectories_are_those_of_diffusers(maker, golden, sampler):
    recorded = json.loads(str(golden["cases"]))
    cases = {name: case for name, case in recorded.items() if case["sampler"] == sampler}
    assert len(cases) == 8
    for name, case in cases.items():
        expected = golden[f"{name}.trajectory"]
        timesteps, trajectory = maker.run_ours(case, expected[0], golden.get(f"{name}.noise"))
        np.testing.assert_array_equal(timesteps, golden[f"{name}.timesteps"])
        scale = np.abs(expected).max(axis=tuple(range(1, expected.ndim)))
        error = np.abs(trajectory - expected).max(axis=tuple(range(1, expected.ndim)))
        assert (error <= 1e-5 * scale).all(), name
