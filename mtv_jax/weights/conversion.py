"""Converts weights between formats, a tensor at a time; nothing is placed on a device."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import (
    copy_tree,
    existing_directory,
    is_hidden,
    read_json_object,
    visible,
    write_json,
)
from mtv_jax.models.mtv import MTVConfig
from mtv_jax.models.registry import make_model, replace_fields, spec_of
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params
from mtv_jax.weights import mtv_sat
from mtv_jax.weights.audiosep import open_audiosep
from mtv_jax.weights.cim import open_cim
from mtv_jax.weights.demucs_files import open_demucs
from mtv_jax.weights.i3d import open_i3d
from mtv_jax.weights.imagebind import open_imagebind
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.laion_clap import open_laion_clap
from mtv_jax.weights.model_index import INDEX, PipelineDefaults, index_json
from mtv_jax.weights.pretrained import (
    Place,
    build_model,
    fill,
    is_untrained,
    open_model,
    pipeline_parts,
    writing_model,
)
from mtv_jax.weights.rules import Leaf, to_params, to_tensors
from mtv_jax.weights.scheduler import save_schedule
from mtv_jax.weights.syncnet import open_syncnet
from mtv_jax.weights.tensor_files import read_tensors, write_tensors
from mtv_jax.weights.torch_files import read_torch
from mtv_jax.weights.variants import choose_weights
from mtv_jax.weights.videoclip_xl import open_videoclip_xl

_TWO_SPEAKERS = f"{mtv_sat.PREFIX}transformer.audio_vocal_embedding"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


ORIGINALS: dict[str, Callable[[Path, Place], tuple[Any, Params]]] = {
    "clap": open_laion_clap,
    "demucs": open_demucs,
    "i3d": open_i3d,
    "syncnet": open_syncnet,
    "imagebind": open_imagebind,
    "cim": open_cim,
    "videoclip-xl": open_videoclip_xl,
}
"""Whose files hold one network each -> what opens them."""


def convert_mtv(sources: list[Path], out: Path, dtype: Any = None) -> Iterator[str]:
    """The authors' checkpoint as `transformer/`, `controlnet/` and `scheduler/` in `out`. Yields each tensor's name.

    `sources` are files (torch's or safetensors of the same names), or one folder that holds one; several are
    merged. Sizes are those of a `config.json` beside the first, or the released model's; two speakers if
    there are tensors for them. Raises UserError for missing or unexpected tensors and for mismatched shapes.
    """
    tensors: dict[str, Any] = {}
    for source in sources:
        tensors |= _read_weights(source)
    speakers = 2 if _TWO_SPEAKERS in tensors else 1
    model = make_model("mtv", _mtv_config(sources[0], speakers))
    params = to_params(
        tensors,
        mtv_sat.RULES,
        parameter_shapes(model),
        ignored=mtv_sat.IGNORED,
        origin=str(sources[0]),
        place=_leave,
    )
    yield from writing_model(out, model, params, dtype=dtype)
    save_schedule(out / "scheduler", ScheduleConfig.released())
    write_json(out / INDEX, index_json(PipelineDefaults(ClipSize(native_rate=True))))


def _mtv_config(source: Path, speakers: int) -> MTVConfig:
    path = (source if source.is_dir() else source.parent) / CONFIG_FILE
    if path.exists():
        values = read_json_object(path)
        with errors_in_file(path):
            return mtv_sat.config_from_json(values, speakers)
    return replace_fields(MTVConfig.mtv_5b(), {"controlnet": {"num_speakers": speakers}})


def to_mtv(folder: Path, out: Path, dtype: Any = None) -> Iterator[str]:
    """Writes backbone and controlnet of a pipeline folder as safetensors under the authors' names (the inverse).

    Their unused position table and rotary buffers are omitted. Yields each tensor's name.
    """
    if not (existing_directory(folder) / "controlnet").is_dir():
        raise UserError(f"{folder}: no controlnet/ in it; only an MTV pipeline has a form of the authors'")
    model, params = open_model(folder, _leave)
    mtv_sat.check_form(model.config.controlnet, f"{folder}/controlnet")
    yield from write_tensors(out, "model", to_tensors(params, mtv_sat.RULES), dtype=dtype)


def convert_original(kind: str, source: Path, out: Path, dtype: Any = None) -> Iterator[str]:
    """The network of a file of `ORIGINALS` as a folder for `load_model`. Yields each tensor's name."""
    model, params = ORIGINALS[kind](source, _leave)
    yield from writing_model(out, model, params, dtype=dtype)


def convert_audiosep(source: Path, out: Path, dtype: Any = None) -> Iterator[str]:
    """The networks of AudioSep's checkpoint as `separator/` and `clap/` in `out`. Yields each tensor's name."""
    for model, params in open_audiosep(source, _leave):
        yield from writing_model(spec_of(model).folder_in(out), model, params, dtype=dtype)


def convert_pretrained(folder: Path, out: Path, dtype: Any = None) -> Iterator[str]:
    """Checks a network or pipeline folder of diffusers or transformers and writes it as safetensors.

    The weights may be torch's (`.bin`). The other parts of a pipeline are copied. Yields each tensor's name.
    """
    if (existing_directory(folder) / CONFIG_FILE).exists():
        yield from _convert_network(folder, out, dtype)
        return
    networks = {path.name for path in visible(folder) if path.is_dir() and _has_weights(path)}
    if not networks:
        raise UserError(f"{folder}: no weights in it or in a folder of it: neither network nor pipeline")
    out.mkdir(parents=True, exist_ok=True)
    for path in visible(folder):
        if path.name not in networks:
            _copy(path, out / path.name)
    backbone, addition = pipeline_parts(folder)
    if addition is not None:
        networks -= {backbone.name, addition.name}
        yield from writing_model(out, *open_model(folder, _leave), dtype=dtype)
    for name in sorted(networks):
        yield from _convert_network(folder / name, out / name, dtype)


def _convert_network(folder: Path, out: Path, dtype: Any) -> Iterator[str]:
    if is_untrained(folder):
        raise UserError(f"{folder}: has no weights, only a seed to make them from")
    model = build_model(folder)
    params = fill(_read_weights(folder), model, _leave, folder)
    yield from writing_model(out, model, params, dtype=dtype)


def _has_weights(folder: Path) -> bool:
    return any(path.name.endswith(_WEIGHTS) for path in visible(folder))


def _read_weights(path: Path) -> Mapping[str, Any]:
    """The tensors of a file, or of the weights in a folder: safetensors if there are any, otherwise torch's."""
    if path.is_file():
        return read_tensors(path) if path.suffix == ".safetensors" else read_torch([path])
    if choose_weights(path, "safetensors"):
        return read_tensors(path)
    files, others = choose_weights(path, "bin"), _other_weights(path)
    if not files and not others:
        raise UserError(f"{path}: no weights in it (.safetensors, .bin, .pt)")
    if len(others) + bool(files) > 1:
        names = ", ".join(file.name for file in (*files, *others))
        raise UserError(f"{path}: which of {names}? Give the file itself")
    return read_torch(files or others)


def _other_weights(folder: Path) -> list[Path]:
    """Weight files of training programs; DeepSpeed's `.pt` are in subfolders."""
    found = sorted(file for kind in ("**/*.pt", "*.pth", "*.ckpt") for file in folder.glob(kind))
    return [file for file in found if not any(map(is_hidden, (file, *file.relative_to(folder).parents)))]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        copy_tree(source, target)
    elif not source.name.endswith((*_WEIGHTS, ".index.json")):
        shutil.copy2(source, target)


def _leave(path: str, leaf: Leaf) -> Leaf:
    return leaf
