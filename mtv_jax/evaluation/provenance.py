"""Where a result comes from: the files of a pipeline by their hashes, and the versions of what ran it."""

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from mtv_jax.io.files import sha256

_PACKAGES = ("mtv_jax", "jax", "flax", "numpy")


def provenance(folder: Path) -> dict[str, Any]:
    """SHA-256 of every file of a pipeline folder, by relative path, and versions of Python and packages."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
        "packages": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
    }


def _version(name: str) -> str | None:
    """None if it runs from a checkout that is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
