"""`MTV_JAX_GOLDENS` puts other numbers of the authors' code in place, and leaves those of this repository."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
SHOW = "import golden_folders as g, mtv_goldens; print(g.OURS, g.ORIGINALS, mtv_goldens.DENOISER, sep='\\n')"


def folders(**environment: str) -> list[Path]:
    env = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"} | environment
    done = subprocess.run([sys.executable, "-c", SHOW], env=env, capture_output=True, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


def test_only_the_originals_numbers_are_replaced(tmp_path):
    assert folders(MTV_JAX_GOLDENS=str(tmp_path)) == [TESTS / "goldens", tmp_path, tmp_path / "mtv/denoiser"]


def test_an_empty_name_stands_for_none():
    assert folders(MTV_JAX_GOLDENS="")[1] == TESTS / "goldens"


def test_our_files_are_read_from_beside_the_tests(goldens):
    assert (goldens / "vae3d.npz").exists()
    assert (goldens / "keys").is_dir()
