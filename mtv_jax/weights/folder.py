"""Pipeline folders: where they are, and the sizes they were trained at."""

import dataclasses
import importlib.resources
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json

PRESETS = ("tiny",)
"""Pipelines that come with the package."""

_INDEX = "model_index.json"


@dataclass(frozen=True)
class PipelineDefaults:
    """Length, frame rate and size of a video, and how its prompt is encoded: by default MTV's.

    `text_length` is in tokens; `text_padding` is `encoded` or `zeros` (`mtv_jax.text.encoder.encode_prompts`).
    """

    num_frames: int = 49
    fps: Fraction = Fraction(24)
    height: int = 480
    width: int = 720
    text_length: int = 226
    text_padding: str = "encoded"

    def replace(self, **values: Any) -> "PipelineDefaults":
        """A copy with those values that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        if "fps" in given:
            given["fps"] = Fraction(given["fps"]).limit_denominator(1001)
        return dataclasses.replace(self, **given)

    def check(self) -> None:
        """Raises UserError for sizes that the networks cannot make."""
        if self.num_frames < 1 or self.num_frames % 4 != 1:
            below = max(self.num_frames - 1, 0) // 4 * 4 + 1
            raise UserError(
                f"num_frames {self.num_frames}: must be 1 + 4k; the nearest are {below} and {below + 4}"
            )
        for name, value in (("height", self.height), ("width", self.width)):
            if value < 16 or value % 16:
                below = max(value // 16 * 16, 16)
                raise UserError(
                    f"{name} {value}: must be divisible by 16; the nearest are {below} and {below + 16}"
                )
        if self.fps <= 0:
            raise UserError(f"fps {self.fps}: must be positive")

    def to_json(self) -> dict[str, Any]:
        """As `model_index.json` holds it."""
        return dataclasses.asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PipelineDefaults":
        """The inverse of `to_json`; what is missing keeps its default."""
        values = dict(values)
        if "fps" in values:
            values["fps"] = Fraction(*values["fps"])
        return cls(**values)


def pipeline_folder(path: str | os.PathLike) -> Path:
    """The folder of a preset's name, of a training directory (its `pipeline/`), or of a path.

    Raises UserError if there is none.
    """
    if os.fspath(path) in PRESETS:
        return Path(str(importlib.resources.files("mtv_jax.assets"))) / os.fspath(path)
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder, and no preset of that name ({', '.join(PRESETS)})")
    if (folder / "pipeline").is_dir():
        return folder / "pipeline"
    if (folder / "checkpoints").is_dir():
        raise UserError(
            f"{folder}: a training that has not finished; run it to its end, or export what it has: "
            f"python -m mtv_jax.convert --from train --in {folder} --out DIR"
        )
    return folder


def read_defaults(folder: Path) -> PipelineDefaults:
    """The sizes noted in a folder's `model_index.json` under `_defaults` (ours).

    A folder without has those of CogVideoX, 8 frames a second, or with a controlnet those of MTV, 24 a second.
    """
    path = folder / _INDEX
    noted = read_json(path).get("_defaults") if path.exists() else None
    if noted is not None:
        return PipelineDefaults.from_json(noted)
    return PipelineDefaults(fps=Fraction(24 if (folder / "controlnet").is_dir() else 8))


def index_json(defaults: PipelineDefaults) -> dict[str, Any]:
    """A `model_index.json` of ours: the parts are the folders beside it."""
    return {"_class_name": "MTVPipeline", "_defaults": defaults.to_json()}
