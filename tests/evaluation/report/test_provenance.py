"""The provenance of a report: hashes of files and code, versions of the software."""

import hashlib
import platform
import subprocess

import numpy as np

from mtv_jax.evaluation.report import provenance as module
from mtv_jax.evaluation.report.provenance import provenance


def sha256_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def write(root, **texts):
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_files_are_hashed_by_relative_path_without_hidden_ones(tmp_path):
    write(tmp_path, model_index="a", vae__config="b")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "config").write_text("c")
    (tmp_path / "vae" / ".lock").write_text("d")
    files = provenance(tmp_path)["files"]
    assert files == {"model_index": sha256_of("a"), "vae/config": sha256_of("b")}


def test_a_folder_inside_a_hidden_one_is_hashed_too(tmp_path):
    write(tmp_path / ".home" / "tiny", config="a")
    assert provenance(tmp_path / ".home" / "tiny")["files"] == {"config": sha256_of("a")}


def test_the_code_is_identified_by_names_and_contents_of_its_modules(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "evaluation" / "report" / "provenance.py"))
    codes = set()
    for name, text in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", "x = 2")):
        (tmp_path / name).write_text(text)
        codes.add(provenance(tmp_path / "none")["code"])
    assert len(codes) == 3
    (tmp_path / "notes.md").write_text("not a module")
    assert provenance(tmp_path / "none")["code"] in codes


def test_a_commit_is_that_of_the_checkout_itself(tmp_path, monkeypatch):
    """A package that is installed below another project's checkout has none."""
    monkeypatch.setattr(
        module, "__file__", str(tmp_path / "mtv_jax" / "evaluation" / "report" / "provenance.py")
    )
    assert module.commit() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert module.commit() == head
    inside = tmp_path / "site" / "mtv_jax" / "evaluation" / "report" / "provenance.py"
    monkeypatch.setattr(module, "__file__", str(inside))
    inside.parent.mkdir(parents=True)
    assert module.commit() is None


def test_versions_are_those_that_are_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PACKAGES", ("numpy", "no-such-package"))
    made = provenance(tmp_path)
    assert made["packages"] == {"numpy": np.__version__, "no-such-package": None}
    assert made["python"] == platform.python_version()
