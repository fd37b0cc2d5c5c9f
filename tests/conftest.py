"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Folder of the numbers of original code: `MTV_JAX_GOLDENS`, or the copy beside the tests."""
    return Path(os.environ.get("MTV_JAX_GOLDENS", ROOT / "tests" / "goldens"))


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory) -> Path:
    """A pipeline of the smallest networks (tests/pipelines.py). Do not write into it."""
    from pipelines import write_pipeline

    return write_pipeline(tmp_path_factory.mktemp("pipeline") / "small")
