"""The packages import only downwards (the contract in pyproject.toml), and importing them is cheap."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_import_contract_is_kept():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


HELP_OF_ALL = """
import contextlib, importlib, sys
import mtv_jax
from mtv_jax.__main__ import COMMANDS

for command in COMMANDS:
    with contextlib.suppress(SystemExit):
        importlib.import_module(f"mtv_jax.{command}").main(["--help"])
    heavy = {"jax", "flax", "optax", "orbax", "grain", "librosa", "transformers"} & set(sys.modules)
    assert not heavy, f"{command} --help imports {', '.join(sorted(heavy))}"
mtv_jax.Pipeline
assert "jax" in sys.modules
"""


def test_help_and_the_package_import_neither_jax_nor_other_heavy_packages():
    # Besides, `plan` chooses the platform before JAX reads it.
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == 8
