"""Describes a pipeline folder: sizes, vocabulary, the form of its prompts, tracks, sampler, licence.

Most of it follows from its configs. The rest is in `about.json`, if the folder has one: `world`, the origin of its
clips (`theatre`: `mtv_jax.text.theatre_language` has its words and sentences), `weights`, how they were trained,
and `licence`.
"""

import os
import textwrap
from pathlib import Path
from typing import Any

from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json
from mtv_jax.pipelines.loading import system_of
from mtv_jax.pipelines.preflight import folder_limits
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text import theatre_language
from mtv_jax.weights.json_config import CONFIG_FILE, UNTRAINED_SEED
from mtv_jax.weights.model_index import TextOptions, read_defaults
from mtv_jax.weights.pretrained import pipeline_parts

ABOUT = "about.json"
_WIDTH = 110
_NAMES = 12
"""Width of the column of names."""


def describe_pipeline(path: str | os.PathLike) -> str:
    """A description of a preset, a pipeline folder or a training directory: lines of text.

    Raises UserError for any other folder.
    """
    folder = pipeline_folder(path)
    backbone, _ = pipeline_parts(folder)
    if backbone == folder or not (backbone / CONFIG_FILE).is_file():
        raise UserError(
            f"{folder}: no pipeline folder (it has no transformer/{CONFIG_FILE} or unet/{CONFIG_FILE})"
        )
    size, about = read_defaults(folder), _config(folder, ABOUT)
    rows = [("pipeline", os.fspath(path)), *_clips(folder, size.clip), *system_of(folder).about(folder)]
    how = size.sampling
    guidance = "1 (none)" if how.guidance_scale == 1 else f"{how.guidance_scale:g}"
    rows.append(("sampler", f"{how.sampler}, {how.num_inference_steps} steps, guidance {guidance}"))
    rows.append(("text", _text(folder, size.text)))
    rows += _sentences(about, _vocabulary(folder))
    untrained = [part.parent.name for part in sorted(folder.glob(f"*/{CONFIG_FILE}")) if _is_random(part)]
    rows += [("untrained", f"random weights: {', '.join(untrained)}")] if untrained else []
    rows.append(("weights", str(about.get("weights", "of unknown origin"))))
    rows.append(("licence", str(about.get("licence", "unknown; ask the authors of the weights"))))
    return "\n".join(_row(name, text) for name, text in rows)


def _clips(folder: Path, size: ClipSize) -> list[tuple[str, str]]:
    limits = folder_limits(folder)
    cells, ratio = limits.pixels, limits.frames
    lengths = "any number runs" if ratio == 1 else f"1 + {ratio}k run"
    seconds = float(size.duration)
    return [
        (
            "size",
            f"{size.width} x {size.height} pixels, as it was trained (multiples of {cells} run, and were not trained)",
        ),
        ("length", f"{size.num_frames} frames, {seconds:.2f} s, as it was trained ({lengths})"),
        ("rate", f"{float(size.fps):g} frames a second, as it was trained"),
    ]


def _text(folder: Path, options: TextOptions) -> str:
    kind = "tokens" if (folder / "tokenizer").is_dir() else "bytes"
    return f"up to {options.text_length} {kind} of a prompt count"


def _sentences(about: dict[str, Any], words: list[str]) -> list[tuple[str, str]]:
    """The form of a prompt, its words, examples, and the vocabulary."""
    rows = []
    if about.get("world") == "theatre":
        rows.append(("prompt", "one of these forms, with words of the lists below for those in capitals:"))
        rows += [("", form) for form in theatre_language.forms()]
        rows += [(f"  {name}", ", ".join(known)) for name, known in theatre_language.WORDS.items()]
        rows.append(("", "a prop is on the left or on the right beside one person, and else in the middle"))
        rows += [("example", prompt) for prompt in theatre_language.examples()]
    if words:
        rows.append(("words", f"it knows {len(words)}, and no other: {', '.join(words)}"))
    return rows


def _vocabulary(folder: Path) -> list[str]:
    """The vocabulary of a tokenizer of whole words; empty for one of subwords or bytes."""
    model = _config(folder, "tokenizer/tokenizer.json").get("model", {})
    if model.get("type") != "WordLevel":
        return []
    return sorted(word for word in model["vocab"] if word.isalnum())


def _is_random(config_file: Path) -> bool:
    return UNTRAINED_SEED in read_json(config_file)


def _config(folder: Path, name: str) -> dict[str, Any]:
    """The content of a JSON file of the folder; empty if there is no such file."""
    return read_json(folder / name) if (folder / name).is_file() else {}


def _row(name: str, text: str) -> str:
    lines = textwrap.wrap(text, _WIDTH - _NAMES, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(f"{name if i == 0 else '':<{_NAMES}}{line}" for i, line in enumerate(lines))
