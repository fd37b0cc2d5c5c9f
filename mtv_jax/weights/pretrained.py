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

from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import atomic_directory, existing_directory, read_json_object, write_json
from mtv_jax.models.denoisers import backbone_of
from mtv_jax.models.registry import NETWORKS, make_model, spec_of
from mtv_jax.models.shapes import parameter_shapes, random_params
from mtv_jax.models.spec import NetworkSpec
from mtv_jax.ops.seeds import check_seed
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.typing import Params
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.composite import join_params, split_params
from mtv_jax.weights.json_config import CONFIG_FILE, UNTRAINED_SEED
from mtv_jax.weights.placement import place
from mtv_jax.weights.rules import Leaf, Rule, flat_paths, from_flat_paths, to_params, to_tensors
from mtv_jax.weights.tensor_files import read_tensors, write_tensors

Place = Callable[[str, Leaf], Any]


def load_model(
    directory: str | os.PathLike,
    *,
    dtype: Any = jnp.float32,
    param_dtype: Any = jnp.float32,
    mesh: Mesh | None = None,
    **options: Any,
) -> tuple[nn.Module, Params]:
    """Loads the network in a folder and its parameters.

    Files are read a tensor at a time, each cast to `param_dtype` and put on its devices before the next: on `mesh`
    by the rules of `mtv_jax.sharding`, or on the default device. `dtype` is what the network computes in;
    `options` are attributes of the module such as `remat` and `scan_layers`. A pipeline folder gives its denoiser:
    with `transformer/` and `controlnet/`, `MTV`. Raises UserError for a folder without config, an unknown class or
    config key, missing or unexpected tensors, and mismatched shapes.
    """
    directory = existing_directory(directory)
    place_leaf = partial(place, dtype=param_dtype, mesh=mesh)
    model, params = open_model(directory, place_leaf, dtype=dtype, **options)
    return model, params if mesh is None else jax.device_put(params, tree_shardings(params, mesh))


def build_model(directory: Path, **options: Any) -> nn.Module:
    """The network that `load_model` would return, without its parameters."""
    backbone, addition = pipeline_parts(directory)
    if addition is not None:
        return _composite(addition, build_model(backbone, **options), options)
    values, _ = read_config(backbone)
    return _network(backbone, values, options)


def open_model(directory: Path, place_leaf: Place, **options: Any) -> tuple[nn.Module, Params]:
    """As `load_model`, with `place_leaf(path, leaf)` in place of each parameter."""
    model = build_model(directory, **options)
    folder, addition = pipeline_parts(directory)
    composite = spec_of(model).composite
    if composite is None or addition is None:
        return model, _parameters(folder, model, place_leaf)

    def place_backbone(path: str, leaf: Leaf) -> Any:
        return place_leaf(f"{composite.backbone_group}/{path}", leaf)

    backbone = _parameters(folder, backbone_of(model), place_backbone)
    _, own = split_params(parameter_shapes(model), composite, backbone)
    return model, join_params(composite, backbone, _parameters(addition, model, place_leaf, own))


def _parameters(directory: Path, model: nn.Module, place_leaf: Place, shapes: Params | None = None) -> Params:
    """Reads a network's parameters from a folder: all, or those of `shapes`."""
    _, seed = read_config(directory)
    if seed is None:
        return fill(read_tensors(directory), model, place_leaf, directory, shapes)
    params = _random(directory, model, seed)
    if shapes is None:
        return params
    flat = flat_paths(params)
    return from_flat_paths({path: flat[path] for path in flat_paths(shapes)})


def pipeline_parts(directory: Path) -> tuple[Path, Path | None]:
    """The folders of the denoiser of a pipeline and of its controlnet, if there is one.

    For a folder that holds one network, the folder itself.
    """
    denoisers = [spec for spec in NETWORKS.values() if spec.task == "denoiser"]
    backbones = [directory / spec.folder for spec in denoisers if spec.composite is None]
    backbone = next((folder for folder in backbones if folder.is_dir()), None)
    if backbone is None:
        return directory, None
    additions = [directory / spec.folder for spec in denoisers if spec.composite is not None]
    return backbone, next((folder for folder in additions if folder.is_dir()), None)


def _network(directory: Path, values: Mapping[str, Any], options: Mapping[str, Any]) -> nn.Module:
    spec = identify(directory, values)
    if spec.composite is not None:
        raise UserError(
            f"{directory}: {spec.class_names[0]} is not a complete network; give the folder that has it beside "
            f"{spec.composite.backbone.folder}/"
        )
    return make_model(spec.name, network_config(directory, values), **options)


def _composite(addition: Path, backbone: Any, options: Mapping[str, Any]) -> nn.Module:
    """The network of a backbone and the folder of its addition."""
    values, _ = read_config(addition)
    spec = identify(addition, values)
    composite = spec.composite
    if composite is None or composite.backbone is not spec_of(backbone):
        raise UserError(
            f"{addition}: {spec.class_names[0]} does not go with the network {spec_of(backbone).name!r} beside it"
        )
    own = network_config(addition, values)
    with errors_in_file(addition / CONFIG_FILE):
        parts = {composite.backbone_field: backbone.config, composite.own_field: own}
        config = spec.config(**parts)
    return make_model(spec.name, config, **options)


def fill(
    tensors: Mapping[str, Any],
    model: nn.Module,
    place_leaf: Place,
    origin: object,
    shapes: Params | None = None,
) -> Params:
    """A network's parameters from the tensors of its checkpoint, strictly.

    `shapes` are by default those of all its parameters.
    """
    tables = weight_table(spec_of(model))
    state = Canonical(tensors, getattr(tables, "ALIASES", ()))
    ignored = getattr(tables, "IGNORED", ())
    shapes = parameter_shapes(model) if shapes is None else shapes
    rules = rules_of(model)
    return to_params(state, rules, shapes, ignored=ignored, origin=str(origin), place=place_leaf)


def load_config(directory: str | os.PathLike) -> Any:
    """The config of the network in a folder, without its weights. Raises UserError as `load_model` does."""
    values, _ = read_config(Path(directory))
    return network_config(Path(directory), values)


def network_config(directory: Path, values: Mapping[str, Any]) -> Any:
    """The config that a folder's config.json holds. Raises UserError, naming the file, for what cannot be built."""
    spec = identify(directory, values)
    with errors_in_file(directory / CONFIG_FILE):
        return weight_table(spec).config_from_json(values)


def is_untrained(directory: Path) -> bool:
    """Whether the config of a folder requests random weights, initialised from a seed on loading."""
    return read_config(directory)[1] is not None


def save_model(directory: str | os.PathLike, model: nn.Module, params: Params, *, dtype: Any = None) -> None:
    """Writes a network as `load_model` reads it; the folder is replaced atomically.

    Weights are written unchanged, or cast to `dtype`; more than `tensor_files.SHARD_BYTES` are sharded into files.
    """
    with atomic_directory(directory) as temporary:
        write_model(temporary, model, params, dtype=dtype)


def write_model(directory: Path, model: nn.Module, params: Params, *, dtype: Any = None) -> None:
    """Writes a network's files into a folder that may hold others: not atomic, see `save_model`."""
    deque(writing_model(directory, model, params, dtype=dtype), maxlen=0)


def writing_model(directory: Path, model: nn.Module, params: Params, *, dtype: Any = None) -> Iterator[str]:
    """As `write_model`, yielding the name of each tensor, for a progress bar. Leaves may be `Leaf`."""
    spec, config = spec_of(model), model.config  # pyright: ignore[reportAttributeAccessIssue]
    if (composite := spec.composite) is not None:
        backbone = backbone_of(model)
        theirs, params = split_params(params, composite, parameter_shapes(backbone))
        yield from writing_model(directory / composite.backbone.folder, backbone, theirs, dtype=dtype)
        directory, config = directory / spec.folder, getattr(config, composite.own_field)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / CONFIG_FILE, weight_table(spec).config_to_json(config))
    yield from write_tensors(directory, spec.file_stem, to_tensors(params, rules_of(model)), dtype=dtype)


def read_config(directory: Path) -> tuple[dict[str, Any], int | None]:
    """A folder's config.json, and the seed of its weights if they are random."""
    path = directory / CONFIG_FILE
    values = read_json_object(path)
    seed = values.pop(UNTRAINED_SEED, None)
    if seed is not None:
        with errors_in_file(path):
            check_seed(seed, UNTRAINED_SEED)
    return values, seed


def _random(directory: Path, model: nn.Module, seed: int) -> Params:
    """Random parameters. Raises UserError, naming the folder, before allocating, if they exceed the memory."""
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameter_shapes(model)))
    needed, there = 4 * count, _memory()
    if needed > there:
        raise UserError(
            f"{directory / CONFIG_FILE}: {count:,} random weights need {needed / 2**30:,.0f} GiB, there are "
            f"{there / 2**30:,.0f}"
        )
    return random_params(model, seed)


def _memory() -> int:
    """Memory of the default device in bytes, or of this machine if the device does not report it."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def identify(directory: Path, values: Mapping[str, Any]) -> NetworkSpec:
    """The network that a folder's config.json names. Raises UserError for one that is not declared."""
    theirs = values.get("architectures")
    name = values.get("_class_name") or (theirs[0] if isinstance(theirs, list) and theirs else None)
    known = {class_name: spec for spec in NETWORKS.values() for class_name in spec.class_names}
    if not isinstance(name, str) or name not in known:
        raise UserError(
            f"{directory / CONFIG_FILE}: class {name!r} is not one we can load; known are "
            f"{', '.join(sorted(known))}"
        )
    return known[name]


def rules_of(model: nn.Module) -> tuple[Rule, ...]:
    """The rules of a network's weight table: `RULES`, or `rules(config)` where the names depend on the config."""
    tables = weight_table(spec_of(model))
    if hasattr(tables, "rules"):
        return tables.rules(model.config)  # pyright: ignore[reportAttributeAccessIssue]
    return tables.RULES


def weight_table(spec: NetworkSpec) -> ModuleType:
    """A network's module of this package, with `RULES` or `rules`, `config_from_json` and `config_to_json`."""
    return importlib.import_module(spec.weights)
