"""What a result depends on: the files of a pipeline by their hashes, and the versions of the software."""

import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from mtv_jax.io.files import is_hidden, sha256

_PACKAGES = ("mtv_jax", "jax", "flax", "numpy")


def provenance(folder: Path) -> dict[str, Any]:
    """SHA-256 of a pipeline folder's files, by relative path, and of our code; versions of Python and packages."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(map(is_hidden, (path, *path.relative_to(folder).parents)))
    )
    return {
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
        **software(),
    }


def software() -> dict[str, Any]:
    """SHA-256 of our code; versions of Python and packages."""
    return {
        "code": _code(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }


@functools.cache
def code_line() -> str:
    """Our version, code and commit in one line, for what is written while a program runs."""
    parts = [f"mtv_jax {_version('mtv_jax') or 'of a checkout'}", f"code {_code()[:12]}"]
    found = commit()
    return ", ".join([*parts, f"commit {found[:12]}"] if found else parts)


def commit() -> str | None:
    """The commit of the checkout that runs; None if it is none, or git is missing."""
    top = _root().parent
    command = ["git", "-C", str(top), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    folder, _, head = answer.stdout.strip().partition("\n")
    # A package that is installed below another project's checkout is not of its commit.
    return head if Path(folder) == top else None


def _root() -> Path:
    return Path(__file__).resolve().parents[2]  # mtv_jax/


def _code() -> str:
    """SHA-256 of all modules of the package: checkouts do not differ in version."""
    root = _root()
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


def _version(name: str) -> str | None:
    """None for a package that runs from a checkout and is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
