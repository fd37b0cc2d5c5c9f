"""The packages import only downwards (the contract in pyproject.toml), and importing them is cheap."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_import_contract_is_kept():
    command = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_itself_imports_no_network():
    # `plan` chooses the platform before JAX reads it; `convert` answers --help at once.
    code = (
        "import mtv_jax, mtv_jax.plan, mtv_jax.convert, sys; assert 'jax' not in sys.modules; "
        "mtv_jax.Pipeline; assert 'jax' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, done.stderr
