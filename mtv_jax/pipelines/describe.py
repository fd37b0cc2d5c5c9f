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
from mtv_jax.names import control_tracks
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text import theatre_language
from mtv_jax.weights.json_config import CONFIG_FILE, UNTRAINED_SEED
from mtv_jax.weights.model_index import IMAGE_TO_VIDEO, MAESTRO, MTV, TextOptions, read_class, read_defaults

ABOUT = "about.json"
_DENOISERS = "transformer", "unet"
_WIDTH = 110
_NAMES = 12
"""Width of the column of names."""


def describe_pipeline(path: str | os.PathLike) -> str:
    """A description of a preset, a pipeline folder or a training directory: lines of text.

    Raises UserError for any other folder.
    """
    folder = pipeline_folder(path)
    if not any((folder / name / CONFIG_FILE).is_file() for name in _DENOISERS):
        raise UserError(
            f"{folder}: no pipeline folder (it has no transformer/{CONFIG_FILE} or unet/{CONFIG_FILE})"
        )
    size, about = read_defaults(folder), _config(folder, ABOUT)
    rows = [("pipeline", os.fspath(path)), *_clips(folder, size.clip), *_taken(folder)]
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
    vae = _config(folder, f"vae/{CONFIG_FILE}")
    cells = 2 ** (len(vae.get("block_out_channels", [0] * 4)) - 1) * _patch(folder)
    ratio = vae.get("temporal_compression_ratio", 1 if read_class(folder) == MAESTRO else 4)
    lengths = "any number runs" if ratio == 1 else f"1 + {ratio}k run"
    seconds = float(size.duration)
    return [
        (
            "size",
            f"{size.width} x {size.height} pixels, as it was trained (multiples of {cells} run, and were not trained)",
        ),
        (
            "length",
            f"{size.num_frames} frames, {seconds:.2f} s, as it was trained ({lengths}){_windows(folder)}",
        ),
        ("rate", _rate(size)),
    ]


def _rate(size: ClipSize) -> str:
    rate = f"{float(size.fps):.6g} frames a second"
    return (
        f"{rate} by default; trained at the rates of its videos"
        if size.native_rate
        else f"{rate}, as it was trained"
    )


def _windows(folder: Path) -> str:
    """What a longer video is made of."""
    if read_class(folder) != MTV:
        return ""
    defaults = read_defaults(folder)
    most = defaults.sampling.max_num_frames or defaults.clip.num_frames
    return f"; longer videos are made in windows of up to {most}"


def _patch(folder: Path) -> int:
    """Cells of latents that the height and width of a denoiser's input are divisible by."""
    if not (folder / "unet").is_dir():
        return _config(folder, f"transformer/{CONFIG_FILE}").get("patch_size", 2)
    unet = _config(folder, f"unet/{CONFIG_FILE}")
    return 2 ** (len(unet.get("channel_mult") or unet.get("block_out_channels", [0] * 4)) - 1)


def _taken(folder: Path) -> list[tuple[str, str]]:
    """What the system of a folder takes besides a prompt."""
    system = read_class(folder)
    if system == MAESTRO:
        tokens = _config(folder, f"cim/{CONFIG_FILE}").get("num_queries", 10)
        most = (read_defaults(folder).text.text_length - 1) // tokens
        return [
            ("sources", f"up to {most}, each named and with a box, a moving box or the background"),
            ("sound", "one mix, in which they are found by their names, or a file for each"),
            *_known_sounds(folder),
            ("keyframes", "none"),
        ]
    pictures = "one, at frame 0" if system == IMAGE_TO_VIDEO else "pictures at any frames, one a latent frame"
    return [("tracks", _tracks(folder)), ("keyframes", pictures)]


def _known_sounds(folder: Path) -> list[tuple[str, str]]:
    """What the separator of a folder finds, if its CLAP has a vocabulary of whole words."""
    words = _vocabulary(folder, "clap")
    return [("", f"its separator knows {len(words)}, and no other: {', '.join(words)}")] if words else []


def _tracks(folder: Path) -> str:
    if not (folder / "controlnet").is_dir():
        return "none: it takes no sound"
    speakers = _config(folder, f"controlnet/{CONFIG_FILE}").get("num_speakers", 1)
    names = ", ".join(control_tracks(speakers))
    return f"{names}: a sound file each, one that is missing is silence; or one mix, which is separated first"


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


def _vocabulary(folder: Path, part: str = "tokenizer") -> list[str]:
    """The vocabulary of a tokenizer of whole words; empty for one of subwords or bytes."""
    model = _config(folder, f"{part}/tokenizer.json").get("model", {})
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
