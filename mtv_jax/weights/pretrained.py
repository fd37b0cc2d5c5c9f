"""Models on disk: a folder with `config.json` and safetensors, as diffusers and transformers write them."""

import importlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mtv_jax.io.errors import UserError, blamed_on
from mtv_jax.io.files import atomic_directory, existing_directory, read_json_object, write_json
from mtv_jax.models.mtv import MTV, MTVConfig
from mtv_jax.models.registry import make_model, network
from mtv_jax.models.shapes import parameter_shapes, random_params
from mtv_jax.ops.seeds import check_seed
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.typing import Params
from mtv_jax.weights import controlnet
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.placement import place
from mtv_jax.weights.rules import Leaf, flat_paths, from_flat_paths, to_params, to_tensors
from mtv_jax.weights.tensor_files import read_tensors, write_tensors

_CLASSES = {
    "AutoencoderKLCogVideoX": "vae3d",
    "BEATs": "beats",
    "CogVideoXTransformer3DModel": "dit",
    "T5EncoderModel": "t5",
    "T5ForConditionalGeneration": "t5",
    "T5Model": "t5",
    "UMT5EncoderModel": "t5",
    "UMT5ForConditionalGeneration": "t5",
    "UMT5Model": "t5",
    "Wav2Vec2ForCTC": "wav2vec2",
    "Wav2Vec2ForPreTraining": "wav2vec2",
    "Wav2Vec2Model": "wav2vec2",
}
"""Class named in config.json -> network: its name in the registry, and the module of this package with its tables."""

_UNTRAINED = "_untrained_seed"
"""In a config.json without weights beside it: make random ones from this seed."""

STEMS = {"dit": "diffusion_pytorch_model", "vae3d": "diffusion_pytorch_model"}
"""File stems the libraries use; `model` for the others."""

Place = Callable[[str, Leaf], Any]


def load_model(
    directory: str | os.PathLike,
    *,
    dtype: Any = jnp.float32,
    param_dtype: Any = jnp.float32,
    mesh: Mesh | None = None,
    **options: Any,
) -> tuple[nn.Module, Params]:
    """The network in a folder and its parameters.

    Files are read a tensor at a time, each cast to `param_dtype` and put on its devices before the next: on `mesh`
    by the rules of `mtv_jax.sharding`, or on the default device. `dtype` is what the network computes in;
    `options` are attributes of the module such as `remat` and `scan_layers`. A folder with `transformer/` and
    `controlnet/` gives `MTV`. Raises UserError for a folder without config, a class or config key we do not know,
    and tensors that are missing, left over or of another shape.
    """
    directory = existing_directory(directory)
    settle = partial(place, dtype=param_dtype, mesh=mesh)
    if (directory / "transformer").is_dir():
        model, params = open_denoiser(directory, settle, dtype=dtype, **options)
    else:
        model, params = open_model(directory, settle, dtype=dtype, **options)
    return model, params if mesh is None else jax.device_put(params, tree_shardings(params, mesh))


def open_model(directory: Path, settle: Place, **options: Any) -> tuple[nn.Module, Params]:
    """The network in a folder, `settle(path, leaf)` being what becomes of each parameter."""
    values, seed = read_config(directory)
    name, tables = identify(directory, values)
    model = make_model(name, network_config(directory, values), **options)
    if seed is not None:
        return model, _random(directory, model, seed)
    return model, fill(read_tensors(directory), tables, model, settle, directory)


def fill(
    tensors: Mapping[str, Any], tables: ModuleType, model: nn.Module, settle: Place, origin: object
) -> Params:
    """A network's parameters from the tensors of its checkpoint, strictly."""
    state = Canonical(tensors, getattr(tables, "ALIASES", ()))
    ignored = getattr(tables, "IGNORED", ())
    shapes = parameter_shapes(model)
    return to_params(state, tables.RULES, shapes, ignored=ignored, origin=str(origin), place=settle)


def load_config(directory: str | os.PathLike) -> Any:
    """The config of the network in a folder, without its weights. Raises UserError as `load_model` does."""
    values, _ = read_config(Path(directory))
    return network_config(Path(directory), values)


def network_config(directory: Path, values: Mapping[str, Any]) -> Any:
    """The config that a folder's config.json holds. Raises UserError, naming the file, for what cannot be built."""
    tables = identify(directory, values)[1]
    with blamed_on(directory / "config.json"):
        return tables.config_from_json(values)


def is_untrained(directory: Path) -> bool:
    """Whether a folder says of itself that its weights are random, made from a seed when it is loaded."""
    return read_config(directory)[1] is not None


def save_model(directory: str | os.PathLike, model: nn.Module, params: Params, *, dtype: Any = None) -> None:
    """Writes a network as `load_model` reads it; the folder is replaced whole or not at all.

    Weights are written as they are, or cast to `dtype`; more than `tensor_files.SHARD_BYTES` make several files.
    """
    with atomic_directory(directory) as temporary:
        write_model(temporary, model, params, dtype=dtype)


def write_model(directory: Path, model: nn.Module, params: Params, *, dtype: Any = None) -> None:
    """Writes a network's files into a folder that may hold others: not atomic, see `save_model`."""
    deque(writing_model(directory, model, params, dtype=dtype), maxlen=0)


def writing_model(directory: Path, model: nn.Module, params: Params, *, dtype: Any = None) -> Iterator[str]:
    """As `write_model`, yielding the name of each tensor, for a progress bar. Leaves may be `Leaf`."""
    if isinstance(model, MTV):
        backbone, own = split_mtv(params)
        yield from writing_model(
            directory / "transformer", make_model("dit", model.config.dit), backbone, dtype=dtype
        )
        directory, tables, stem, params = directory / "controlnet", controlnet, "model", own
        config: Any = model.config.controlnet
    else:
        name = next(n for n in sorted(set(_CLASSES.values())) if isinstance(model, network(n).module))
        tables, stem = _tables(name), STEMS.get(name, "model")
        config = getattr(model, "config")  # noqa: B009 - every network of the registry has one
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", tables.config_to_json(config))
    yield from write_tensors(directory, stem, to_tensors(params, tables.RULES), dtype=dtype)


def split_mtv(params: Params) -> tuple[Params, Params]:
    """MTV's parameters as those of the backbone alone, and what the controlnet adds under MTV's own paths."""
    flat = flat_paths(params)
    own = {path: leaf for path, leaf in flat.items() if controlnet.is_own(path)}
    backbone = {path.removeprefix("transformer/"): leaf for path, leaf in flat.items() if path not in own}
    return from_flat_paths(backbone), from_flat_paths(own)


def join_mtv(backbone: Params, own: Params) -> Params:
    """The inverse of `split_mtv`."""
    flat = {f"transformer/{path}": leaf for path, leaf in flat_paths(backbone).items()}
    return from_flat_paths(flat | flat_paths(own))


def open_denoiser(directory: Path, settle: Place, **options: Any) -> tuple[nn.Module, Params]:
    """As `open_model`, for a pipeline's folder: `MTV` if it has a controlnet, else the backbone."""

    def settle_backbone(path: str, leaf: Leaf) -> Any:
        return settle(f"transformer/{path}", leaf)

    dit, backbone = open_model(directory / "transformer", settle_backbone, **options)
    folder = directory / "controlnet"
    if not folder.is_dir():
        return dit, backbone
    values, seed = read_config(folder)
    config: Any = getattr(dit, "config")  # noqa: B009 - see above
    with blamed_on(folder / "config.json"):
        both = MTVConfig(config, controlnet.config_from_json(values))
    model = make_model("mtv", both, **options)
    if seed is not None:
        return model, join_mtv(backbone, split_mtv(_random(folder, model, seed))[1])
    own = split_mtv(parameter_shapes(model))[1]
    tensors = read_tensors(folder)
    return model, join_mtv(
        backbone, to_params(tensors, controlnet.RULES, own, origin=str(folder), place=settle)
    )


def read_config(directory: Path) -> tuple[dict[str, Any], int | None]:
    """A folder's config.json, and the seed of its weights if they are to be random."""
    path = directory / "config.json"
    values = read_json_object(path)
    seed = values.pop(_UNTRAINED, None)
    if seed is not None:
        with blamed_on(path):
            check_seed(seed, _UNTRAINED)
    return values, seed


def _random(directory: Path, model: nn.Module, seed: int) -> Params:
    """Random parameters. Raises UserError, naming the folder, for more than fit into memory, before any are made."""
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameter_shapes(model)))
    needed, there = 4 * count, _memory()
    if needed > there:
        raise UserError(
            f"{directory / 'config.json'}: {count:,} random weights need {needed / 2**30:,.0f} GiB, there are "
            f"{there / 2**30:,.0f}"
        )
    return random_params(model, seed)


def _memory() -> int:
    """Bytes that the default device has, or this machine where the device does not say."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def identify(directory: Path, values: Mapping[str, Any]) -> tuple[str, ModuleType]:
    """The network that a folder's config.json names, and its tables (`RULES`, `config_from_json` ...)."""
    theirs = values.get("architectures")
    name = values.get("_class_name") or (theirs[0] if isinstance(theirs, list) and theirs else None)
    if not isinstance(name, str) or name not in _CLASSES:
        known = ", ".join(sorted(_CLASSES))
        raise UserError(
            f"{directory / 'config.json'}: class {name!r} is not one we can load; known are {known}"
        )
    return _CLASSES[name], _tables(_CLASSES[name])


def _tables(network_name: str) -> ModuleType:
    return importlib.import_module(f"mtv_jax.weights.{network_name}")
