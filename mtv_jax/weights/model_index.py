"""`model_index.json` of a pipeline folder: its class, the clips of its training, and its sampling defaults."""

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from mtv_jax.io.checks import check_fields, check_whole
from mtv_jax.io.clip_size import ClipSize, rate_of
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object
from mtv_jax.names import SamplerName
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.maestro_defaults import MaestroDefaults

MTV = "MTVPipeline"
MAESTRO = "MaestroPipeline"
TEXT_TO_VIDEO, IMAGE_TO_VIDEO = "CogVideoXPipeline", "CogVideoXImageToVideoPipeline"
_CLASSES = (MTV, MAESTRO, TEXT_TO_VIDEO, IMAGE_TO_VIDEO)
"""Supported pipeline classes; the last two are diffusers'."""

INDEX = "model_index.json"
_DEFAULTS, _MAESTRO = "_defaults", "maestro"
"""The key of our entry, and of Maestro's in it."""
_MOST_SIZE = 2**20
"""Upper limit of any count or length in a folder."""
_FORMER = ("image_channels",)
"""Obsolete keys of `_defaults`, now implied by the class of the pipeline."""


@dataclass(frozen=True)
class TextOptions:
    """How prompts are encoded.

    Attributes:
      text_length: tokens of a prompt.
      text_padding: `encoded` or `zeros` (`mtv_jax.text.encoder.encode_prompts`).
    """

    text_length: int = 226
    text_padding: Literal["encoded", "zeros"] = "encoded"


@dataclass(frozen=True)
class SamplingDefaults:
    """Sampling defaults of a model. The field defaults are MTV's.

    Attributes:
      no_text: the unconditional text of guidance: `zeros` (MTV's training), or the embedding of an `empty_prompt`
        (diffusers' CogVideoX).
      max_num_frames: the longest video of one call that was measured to stay in sync with its sound
        (`benchmarks/lengths.py`); None: only the training length is known to work.
      sampler, num_inference_steps, guidance_scale: as of `mtv_jax.Pipeline`.
      eta: noise of the sampler `ddim`, between 0 (none) and 1; other samplers have no such choice.
    """

    no_text: Literal["zeros", "empty_prompt"] = "zeros"
    max_num_frames: int | None = None
    sampler: SamplerName = "dpm++"
    num_inference_steps: int = 50
    guidance_scale: float = 3.5
    eta: float = 0.0


@dataclass(frozen=True)
class PipelineDefaults:
    """Defaults of a pipeline: the clips it was trained on, its text encoding, and its sampling; and Maestro's own."""

    clip: ClipSize = field(default_factory=ClipSize)
    text: TextOptions = field(default_factory=TextOptions)
    sampling: SamplingDefaults = field(default_factory=SamplingDefaults)
    maestro: MaestroDefaults | None = None

    def to_json(self) -> dict[str, Any]:
        """As stored in `model_index.json`: one object with the fields of all parts; Maestro's in one of its own."""
        own = {} if self.maestro is None else {_MAESTRO: self.maestro.to_json()}
        return self.clip.to_json() | dataclasses.asdict(self.text) | dataclasses.asdict(self.sampling) | own

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PipelineDefaults":
        """The inverse of `to_json`; missing fields keep their defaults. Raises UserError, naming the field."""
        values = {key: value for key, value in values.items() if key not in _FORMER}
        maestro = MaestroDefaults.from_json(values.pop(_MAESTRO)) if _MAESTRO in values else None
        if "fps" in values:
            values["fps"] = rate_of(values["fps"], "fps")
        parts = {"clip": ClipSize, "text": TextOptions, "sampling": SamplingDefaults}
        fields = {name: {f.name for f in dataclasses.fields(part)} for name, part in parts.items()}
        known = set().union(*fields.values())
        if unknown := sorted(set(values) - known):
            raise UserError(
                f"_defaults: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        made = {}
        for name, part in parts.items():
            made[name] = part(**{key: values[key] for key in fields[name] & values.keys()})
            check_fields(made[name], most=_MOST_SIZE)
        return cls(**made, maestro=maestro)


def read_class(folder: Path) -> str:
    """The class of a pipeline folder: Maestro's, MTV's, or one of diffusers' for a folder without `controlnet/`.

    Raises UserError for a class that is not one of ours.
    """
    name = _read_index(folder).get("_class_name", TEXT_TO_VIDEO)
    if name == MAESTRO:
        return name
    if (folder / "controlnet").is_dir():
        return MTV
    return IMAGE_TO_VIDEO if name == IMAGE_TO_VIDEO else TEXT_TO_VIDEO


def read_defaults(folder: Path) -> PipelineDefaults:
    """The defaults of a pipeline folder: the `_defaults` entry (ours) of its `model_index.json`.

    A folder without the entry has the defaults of MTV if it has a controlnet, otherwise those of diffusers' CogVideoX
    pipelines.
    Raises UserError for a pipeline of another class.
    """
    index = _read_index(folder)
    if _DEFAULTS in index:
        return _own_defaults(folder, index)
    return PipelineDefaults() if (folder / "controlnet").is_dir() else _cogvideox_defaults(folder)


def default_clip_size(folder: Path) -> ClipSize:
    """The default clips to prepare for training with the encoders of a pipeline folder.

    A folder of ours records its clips. For other folders the clips are MTV's: how a backbone was trained (CogVideoX at
    8 frames a second) does not determine what is trained from it. Raises UserError as
    `read_defaults`.
    """
    index = _read_index(folder)
    return _own_defaults(folder, index).clip if _DEFAULTS in index else ClipSize(native_rate=True)


def text_options(folder: Path) -> TextOptions | None:
    """How a pipeline folder of ours encodes prompts; None for a folder of others, of any class."""
    path = folder / INDEX
    return read_defaults(folder).text if path.exists() and _DEFAULTS in read_json_object(path) else None


def _own_defaults(folder: Path, index: dict[str, Any]) -> PipelineDefaults:
    with errors_in_file(folder / INDEX):
        return PipelineDefaults.from_json(index[_DEFAULTS])


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    index = read_json_object(path) if path.exists() else {}
    name = index.get("_class_name", TEXT_TO_VIDEO)
    if not isinstance(name, str) or name not in _CLASSES:
        raise UserError(f"{path}: pipeline {name!r} is not supported; known are {', '.join(_CLASSES)}")
    return index


def _cogvideox_defaults(folder: Path) -> PipelineDefaults:
    """The clip size that a CogVideoX transformer was trained at, from its config."""
    path = folder / "transformer" / CONFIG_FILE
    config = read_json_object(path) if path.exists() else {}
    sizes = {"max_text_seq_length": 226, "sample_frames": 49, "sample_height": 60, "sample_width": 90}
    with errors_in_file(path):
        for key, default in sizes.items():
            sizes[key] = check_whole(key, config.get(key, default), most=_MOST_SIZE)
    frames = sizes["sample_frames"]
    if config.get("patch_size_t") is not None:
        # 1.5: the config has the maximum size; this is the size in its model card.
        clip = ClipSize(frames, Fraction(16), 768, 1360)
    else:
        clip = ClipSize(frames, Fraction(8), 8 * sizes["sample_height"], 8 * sizes["sample_width"])
    text = TextOptions(sizes["max_text_seq_length"])
    return PipelineDefaults(clip, text, SamplingDefaults(no_text="empty_prompt"))


def maestro_defaults() -> PipelineDefaults:
    """Maestro's defaults: VideoCrafter2's clips and text, and the paper's sampling."""
    clip = ClipSize(16, Fraction(8), 320, 512)
    sampling = SamplingDefaults("empty_prompt", sampler="ddim", guidance_scale=12.0, eta=1.0)
    return PipelineDefaults(clip, TextOptions(77, "encoded"), sampling, MaestroDefaults())


def index_json(defaults: PipelineDefaults) -> dict[str, Any]:
    """A `model_index.json` of ours, MTV's or Maestro's: the parts are the folders beside it."""
    return _index_json(defaults.to_json(), MTV if defaults.maestro is None else MAESTRO)


def encoders_json(clip: ClipSize, text: TextOptions, class_name: str) -> dict[str, Any]:
    """The same for encoders alone: their clips and text encoding, without sampling defaults."""
    return _index_json(clip.to_json() | dataclasses.asdict(text), class_name)


def _index_json(defaults: dict[str, Any], class_name: str) -> dict[str, Any]:
    return {"_class_name": class_name, _DEFAULTS: defaults}
