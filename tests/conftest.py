"""Fixtures shared by all tests, and how jax is set up for them. tests/README.md says how they are organised."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Child processes inherit this. Programs of tests run once or a few times: what their optimisation would save is less
# than what it costs. And workers and children share what they compile, most of it the same in many of them.
os.environ["XLA_FLAGS"] = f"--xla_backend_optimization_level=0 {os.environ.get('XLA_FLAGS', '')}".strip()
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache" / "tests"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# As `curate run` sets it: tests call it in processes where JAX has started, and compare with workers' bytes.
os.environ["NPROC"] = "1"


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Folder of the numbers that scripts of this repository made."""
    from golden_folders import OURS

    return OURS


@pytest.fixture(scope="session")
def original_goldens() -> Path:
    """Folder of the numbers of authors' code, such as `mtv/`: `MTV_JAX_GOLDENS`, or the copy beside the tests."""
    from golden_folders import ORIGINALS

    return ORIGINALS


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory) -> Path:
    """A pipeline of the smallest networks (tests/pipeline_folders.py). Do not write into it."""
    from pipeline_folders import write_pipeline

    return write_pipeline(tmp_path_factory.mktemp("pipeline") / "small")
