"""Where pipelines are: bundled presets, training directories, folders."""

import importlib.resources
import os
from pathlib import Path

from mtv_jax.io.errors import UserError

PIPELINE, CHECKPOINTS = "pipeline", "checkpoints"
"""Folders of a training directory: its pipeline when it is done, and the checkpoints."""

PRESETS = ("tiny", "maestro-tiny")
"""Pipelines that come with the package."""


def pipeline_folder(path: str | os.PathLike) -> Path:
    """The folder of a preset's name, of a training directory (its `pipeline/`), or of a path.

    Raises UserError if there is none.
    """
    if os.fspath(path) in PRESETS:
        return Path(str(importlib.resources.files("mtv_jax.assets"))) / os.fspath(path)
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, and no preset of that name ({', '.join(PRESETS)})")
    if (folder / PIPELINE).is_dir():
        return folder / PIPELINE
    if (folder / CHECKPOINTS).is_dir():
        raise UserError(
            f"{folder}: a training that has not finished; run it to its end, or export what it has: "
            f"python -m mtv_jax.convert --from train --in {folder} --out DIR"
        )
    return folder
