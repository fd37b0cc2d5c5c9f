"""Pipeline folders: where they are, the clips they were trained on, and how they are sampled."""

import dataclasses
import importlib.resources
import math
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar

from mtv_jax.diffusion.samplers import SamplerName
from mtv_jax.io.checks import check_fields, check_whole
from mtv_jax.io.errors import UserError, blamed_on
from mtv_jax.io.files import read_json_object
from mtv_jax.io.rates import exact_fps

PRESETS = ("tiny",)
"""Pipelines that come with the package."""

_INDEX = "model_index.json"
_MOST_SIZE = 2**20
"""Of any count or length that a folder notes."""

_OURS = "MTVPipeline"
_TEXT_TO_VIDEO, _IMAGE_TO_VIDEO = "CogVideoXPipeline", "CogVideoXImageToVideoPipeline"
_CLASSES = (_OURS, _TEXT_TO_VIDEO, _IMAGE_TO_VIDEO)
"""Pipelines that we run; the last two are diffusers'."""


Size = TypeVar("Size", bound="ClipSize")


@dataclass(frozen=True)
class ClipSize:
    """What clips are: a property of data, which no backbone decides. By default as MTV's.

    Attributes:
      num_frames, height, width: of every clip; pixels.
      fps: frames a second.
      native_rate: clips keep the rates of the videos they are cut from (MTV's training); `fps` is then what
        videos are sampled at unless told otherwise.
    """

    num_frames: int = 49
    fps: Fraction = Fraction(24)
    height: int = 480
    width: int = 720
    native_rate: bool = field(default=False, kw_only=True)

    def replace(self: Size, **values: Any) -> Size:
        """A copy with those values that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        if "fps" in given:
            if not math.isfinite(given["fps"]):
                raise UserError(f"fps {given['fps']}: must be a finite number")
            given["fps"] = exact_fps(given["fps"])
        return dataclasses.replace(self, **given)

    def check(self, *, frames: int = 4, pixels: int = 16) -> None:
        """Raises UserError unless the length is 1 + `frames` * k and height and width are multiples of `pixels`.

        The defaults are those of full size: an autoencoder that joins 4 frames and 8 pixels, patches of 2.
        """
        if self.num_frames < 1:
            raise UserError(f"num_frames {self.num_frames}: must be at least 1")
        if (self.num_frames - 1) % frames:
            below = (self.num_frames - 1) // frames * frames + 1
            raise UserError(
                f"num_frames {self.num_frames}: must be 1 + {frames}k; the nearest are {below} and {below + frames}"
            )
        for name, value in (("height", self.height), ("width", self.width)):
            if value < pixels or value % pixels:
                below = max(value // pixels * pixels, pixels)
                raise UserError(
                    f"{name} {value}: must be divisible by {pixels}; the nearest are {below} and {below + pixels}"
                )
        if self.fps <= 0:
            raise UserError(f"fps {self.fps}: must be positive")

    def to_json(self) -> dict[str, Any]:
        """As `model_index.json` holds it."""
        return dataclasses.asdict(self) | {"fps": [self.fps.numerator, self.fps.denominator]}


@dataclass(frozen=True)
class PipelineDefaults(ClipSize):
    """Of a model: the clips it was trained on, and how its networks are spoken to and sampled. By default as MTV's.

    Attributes:
      max_num_frames: how long videos can be made in one call and keep in step with their sound, as was measured
        (`benchmarks/lengths.py`); None: it is not known of other lengths than `num_frames`.
      sampler, num_inference_steps, guidance_scale: what it samples by unless told otherwise
        (`mtv_jax.sampling.Pipeline`).
      text_length: tokens of a prompt.
      text_padding: `encoded` or `zeros` (`mtv_jax.text.encoder.encode_prompts`).
      no_text: what guidance leads away from: `zeros` (MTV's training), or the embedding of an `empty_prompt`
        (diffusers' CogVideoX).
      image_channels: the first frame is given as a picture in channels of its own (CogVideoX image to video);
        otherwise any frame may be given, and is a clean latent.
    """

    text_length: int = 226
    text_padding: Literal["encoded", "zeros"] = "encoded"
    no_text: Literal["zeros", "empty_prompt"] = "zeros"
    image_channels: bool = False
    max_num_frames: int | None = None
    sampler: SamplerName = "dpm++"
    num_inference_steps: int = 50
    guidance_scale: float = 3.5

    @property
    def clip(self) -> ClipSize:
        """What it says of clips alone."""
        return ClipSize(**{f.name: getattr(self, f.name) for f in dataclasses.fields(ClipSize)})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PipelineDefaults":
        """The inverse of `to_json`; what is missing keeps its default. Raises UserError, naming the field."""
        known = {known.name for known in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UserError(
                f"_defaults: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        values = dict(values)
        if "fps" in values:
            values["fps"] = rate_of(values["fps"], "fps")
        defaults = cls(**values)
        check_fields(defaults, most=_MOST_SIZE)
        return defaults


def rate_of(pair: Any, name: str) -> Fraction:
    """A rate as JSON holds it, [numerator, denominator]. Raises UserError, naming it, for anything else."""
    if not isinstance(pair, list) or len(pair) != 2:
        raise UserError(f"{name} {pair!r}: must be a numerator and a denominator")
    return Fraction(*(check_whole(name, number, most=2**31 - 1) for number in pair))


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
    """How a pipeline folder is sampled as it stands: what its `model_index.json` notes under `_defaults` (ours).

    A folder without has the defaults of MTV if it has a controlnet, or those of diffusers' CogVideoX pipelines.
    Raises UserError for a pipeline of another class.
    """
    index = _read_index(folder)
    if "_defaults" in index:
        return _own_defaults(folder, index)
    if (folder / "controlnet").is_dir():
        return PipelineDefaults()
    return _cogvideox_defaults(folder, image_channels=index.get("_class_name") == _IMAGE_TO_VIDEO)


def default_clip_size(folder: Path) -> ClipSize:
    """The clips to make for training, unless told otherwise, with the encoders of a pipeline folder.

    A folder of ours says what its clips were. The backbone of others does not: how it was trained (CogVideoX at 8
    frames a second) says nothing about what is trained from it, so the clips are MTV's. Raises UserError as
    `read_defaults`.
    """
    index = _read_index(folder)
    if "_defaults" in index:
        return _own_defaults(folder, index).clip
    return ClipSize(native_rate=True)


def _own_defaults(folder: Path, index: dict[str, Any]) -> PipelineDefaults:
    with blamed_on(folder / _INDEX):
        return PipelineDefaults.from_json(index["_defaults"])


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / _INDEX
    index = read_json_object(path) if path.exists() else {}
    name = index.get("_class_name", _TEXT_TO_VIDEO)
    if not isinstance(name, str) or name not in _CLASSES:
        raise UserError(f"{path}: pipeline {name!r} is not one we can run; known are {', '.join(_CLASSES)}")
    return index


def _cogvideox_defaults(folder: Path, *, image_channels: bool) -> PipelineDefaults:
    """The sizes that a CogVideoX transformer was trained at, from its config."""
    path = folder / "transformer" / "config.json"
    config = read_json_object(path) if path.exists() else {}
    sizes = {"max_text_seq_length": 226, "sample_frames": 49, "sample_height": 60, "sample_width": 90}
    with blamed_on(path):
        for key, default in sizes.items():
            sizes[key] = check_whole(key, config.get(key, default), most=_MOST_SIZE)
    same = {"no_text": "empty_prompt", "image_channels": image_channels}
    same["text_length"] = sizes["max_text_seq_length"]
    frames = sizes["sample_frames"]
    if config.get("patch_size_t") is not None:
        # 1.5: the config has the largest size there is; this is what its model card gives.
        return PipelineDefaults(num_frames=frames, fps=Fraction(16), height=768, width=1360, **same)
    height, width = (8 * sizes[f"sample_{side}"] for side in ("height", "width"))
    return PipelineDefaults(num_frames=frames, fps=Fraction(8), height=height, width=width, **same)


def index_json(defaults: PipelineDefaults) -> dict[str, Any]:
    """A `model_index.json` of ours: the parts are the folders beside it."""
    return _index_json(defaults.to_json())


def encoders_json(clip: ClipSize, text_length: int, text_padding: str) -> dict[str, Any]:
    """The same for encoders alone: what clips they made, and how text was encoded. It says nothing of sampling."""
    return _index_json(clip.to_json() | {"text_length": text_length, "text_padding": text_padding})


def _index_json(defaults: dict[str, Any]) -> dict[str, Any]:
    return {"_class_name": _OURS, "_defaults": defaults}
