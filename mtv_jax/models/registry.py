"""The networks by name, and their configs from plain dicts. Imported lazily, since few need all."""

import dataclasses
import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError

_NETWORKS = {
    "mtv": ("mtv", "MTV", "MTVConfig"),
    "dit": ("dit", "DiT", "DiTConfig"),
    "vae3d": ("vae3d", "VAE3D", "VAE3DConfig"),
    "t5": ("t5", "T5Encoder", "T5Config"),
    "wav2vec2": ("wav2vec2", "Wav2Vec2", "Wav2Vec2Config"),
    "beats": ("beats", "BEATs", "BEATsConfig"),
    "syncsynth": ("syncsynth", "SyncTowers", "SyncSynthConfig"),
}


def network(name: str) -> tuple[type[nn.Module], type]:
    """The module class and the config class of a network. Raises UserError for an unknown name."""
    if name not in _NETWORKS:
        raise UserError(f"network {name!r}: unknown; known are {', '.join(sorted(_NETWORKS))}")
    folder, module, config = _NETWORKS[name]
    package = importlib.import_module(f"mtv_jax.models.{folder}")
    return getattr(package, module), getattr(package, config)


def make_config(name: str, variant: str, overrides: Mapping[str, Any] | None = None) -> Any:
    """The named variant of a network's config with some fields replaced (nested dicts for nested configs)."""
    _, config_class = network(name)
    make = getattr(config_class, variant, None)
    if not callable(make) or variant.startswith("_"):
        raise UserError(f"{name} variant {variant!r}: unknown; known are {', '.join(variants(name))}")
    return replace_fields(make(), overrides or {}, name)


def variants(name: str) -> list[str]:
    """The named variants of a network's config."""
    _, config_class = network(name)
    return sorted(k for k, v in vars(config_class).items() if isinstance(v, classmethod))


def make_model(name: str, config: Any, *, dtype: Any = jnp.float32, **options: Any) -> nn.Module:
    """The module of a config. `options` are attributes such as `scan_layers` and `remat`."""
    module_class, _ = network(name)
    return module_class(config=config, dtype=dtype, **options)


def replace_fields(config: Any, values: Mapping[str, Any], name: str = "config") -> Any:
    """A frozen dataclass with fields replaced from plain data (lists become tuples, dicts nest).

    Raises UserError for a field it does not have, naming the nearest one it has.
    """
    fields = {f.name for f in dataclasses.fields(config)}
    changes = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(fields))}"
            raise UserError(f"{name}.{key}: no such field{hint}")
        current = getattr(config, key)
        if dataclasses.is_dataclass(current) and isinstance(value, Mapping):
            value = replace_fields(current, value, f"{name}.{key}")
        changes[key] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(config, **changes)
