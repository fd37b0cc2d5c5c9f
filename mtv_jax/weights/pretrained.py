"""Models on disk: a folder with `config.json` and safetensors, as diffusers and transformers write them."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, existing_directory, existing_file, read_json, write_json
from mtv_jax.models.mtv import MTV, MTVConfig
from mtv_jax.models.registry import make_model, network
from mtv_jax.models.shapes import parameter_shapes, random_params
from mtv_jax.typing import Params
from mtv_jax.weights import controlnet
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.rules import to_params, to_state

_CLASSES = {
    "CogVideoXTransformer3DModel": ("dit", "dit"),
    "AutoencoderKLCogVideoX": ("vae3d", "vae3d"),
    "T5EncoderModel": ("t5", "t5"),
    "T5ForConditionalGeneration": ("t5", "t5"),
    "UMT5EncoderModel": ("t5", "t5"),
    "UMT5ForConditionalGeneration": ("t5", "t5"),
    "Wav2Vec2Model": ("wav2vec2", "wav2vec2"),
    "Wav2Vec2ForCTC": ("wav2vec2", "wav2vec2"),
    "Wav2Vec2ForPreTraining": ("wav2vec2", "wav2vec2"),
}
"""Class named in config.json -> (network in the registry, module of this package with its tables)."""

_UNTRAINED = "_untrained_seed"
"""In a config.json without weights beside it: make random ones from this seed."""

_STEMS = {"dit": "diffusion_pytorch_model", "vae3d": "diffusion_pytorch_model"}
"""File stems the libraries use; `model` for the others."""


def load_model(
    directory: str | os.PathLike, *, dtype: Any = jnp.float32, **options: Any
) -> tuple[nn.Module, Params]:
    """The network in a folder and its parameters.

    `dtype` is what it computes in (parameters keep float32); `options` are attributes of the module such as
    `remat`. A folder with `transformer/` and `controlnet/` gives `MTV`. Raises UserError for a folder without
    config, a class or config key we do not know, and tensors that are missing, left over or of another shape.
    """
    directory = existing_directory(directory)
    if (directory / "transformer").is_dir():
        return _load_denoiser(directory, dtype, options)
    values, seed = _read_config(directory)
    name, tables = _identify(directory, values)
    model = make_model(name, tables.config_from_json(values), dtype=dtype, **options)
    if seed is not None:
        return model, random_params(model, seed)
    state = Canonical(read_tensors(directory), getattr(tables, "ALIASES", ()))
    ignored = getattr(tables, "IGNORED", ())
    shapes = parameter_shapes(model)
    return model, to_params(state, tables.RULES, shapes, ignored=ignored, origin=str(directory), place=_place)


def load_config(directory: str | os.PathLike) -> Any:
    """The config of the network in a folder, without its weights. Raises UserError as `load_model` does."""
    values, _ = _read_config(Path(directory))
    return _identify(Path(directory), values)[1].config_from_json(values)


def is_untrained(directory: Path) -> bool:
    """Whether a folder says of itself that its weights are random, made from a seed when it is loaded."""
    return _read_config(directory)[1] is not None


def save_model(directory: str | os.PathLike, model: nn.Module, params: Params) -> None:
    """Writes a network as `load_model` reads it; the folder is replaced whole or not at all."""
    with atomic_directory(directory) as temporary:
        write_model(temporary, model, params)


def write_model(directory: Path, model: nn.Module, params: Params) -> None:
    """Writes a network's files into a folder that may hold others: not atomic, see `save_model`."""
    if not isinstance(model, MTV):
        _write(directory, model, params)
        return
    backbone, tensors = controlnet.split(params)
    _write(directory / "transformer", make_model("dit", model.config.dit), backbone)
    config = controlnet.config_to_json(model.config.controlnet)
    _write_files(directory / "controlnet", config, tensors, "model")


def read_tensors(directory: Path) -> dict[str, np.ndarray]:
    """All tensors of the safetensors files of a folder. Raises UserError if there is none or one is damaged."""
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise UserError(f"{directory}: no .safetensors file in it")
    state = {}
    for file in files:
        try:
            state |= load_file(existing_file(file))
        except SafetensorError as error:
            raise UserError(f"{file}: not a readable safetensors file ({error})") from error
    return state


def _load_denoiser(directory: Path, dtype: Any, options: Mapping[str, Any]) -> tuple[nn.Module, Params]:
    dit, backbone = load_model(directory / "transformer", dtype=dtype, **options)
    folder = directory / "controlnet"
    if not folder.is_dir():
        return dit, backbone
    values, seed = _read_config(folder)
    config = MTVConfig(dit.config, controlnet.config_from_json(values))
    model = make_model("mtv", config, dtype=dtype, **options)
    own = read_tensors(folder) if seed is None else controlnet.split(random_params(model, seed))[1]
    tensors = {name: _place(name, tensor) for name, tensor in own.items()}
    return model, controlnet.join(backbone, tensors, parameter_shapes(model), str(folder))


def _read_config(directory: Path) -> tuple[dict[str, Any], int | None]:
    """A folder's config.json, and the seed of its weights if they are to be random."""
    values = read_json(directory / "config.json")
    return values, values.pop(_UNTRAINED, None)


def _identify(directory: Path, values: Mapping[str, Any]) -> tuple[str, ModuleType]:
    name = values.get("_class_name") or next(iter(values.get("architectures") or ()), None)
    if name not in _CLASSES:
        known = ", ".join(sorted(_CLASSES))
        raise UserError(
            f"{directory / 'config.json'}: class {name!r} is not one we can load; known are {known}"
        )
    registered, module = _CLASSES[name]
    return registered, importlib.import_module(f"mtv_jax.weights.{module}")


def _write(directory: Path, model: nn.Module, params: Params) -> None:
    name = next(n for n in ("dit", "vae3d", "t5", "wav2vec2") if isinstance(model, network(n)[0]))
    tables = importlib.import_module(f"mtv_jax.weights.{name}")
    config: Any = getattr(model, "config")  # noqa: B009 - every network of the registry has one
    stem = _STEMS.get(name, "model")
    _write_files(directory, tables.config_to_json(config), to_state(params, tables.RULES), stem)


def _write_files(
    directory: Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray], stem: str
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", dict(config))
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, directory / f"{stem}.safetensors")


def _place(path: str, array: np.ndarray) -> jax.Array:
    return jnp.asarray(array, jnp.float32)
