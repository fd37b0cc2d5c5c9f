"""The registry of networks, and their configs from plain dicts."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.audiobox import spec as audiobox
from mtv_jax.models.beats import spec as beats
from mtv_jax.models.cim import spec as cim
from mtv_jax.models.cim_unet2d import spec as cim_unet2d
from mtv_jax.models.clap import spec as clap
from mtv_jax.models.clap import text_spec as clap_text
from mtv_jax.models.clip import spec as clip
from mtv_jax.models.clip_text import spec as clip_text
from mtv_jax.models.dit import spec as dit
from mtv_jax.models.effects_mask import spec as effects_mask
from mtv_jax.models.ge2e import spec as ge2e
from mtv_jax.models.htdemucs import spec as htdemucs
from mtv_jax.models.i3d import spec as i3d
from mtv_jax.models.imagebind import audio_spec as imagebind_audio
from mtv_jax.models.imagebind import spec as imagebind
from mtv_jax.models.kl_vae import spec as kl_vae
from mtv_jax.models.lr_asd import spec as lr_asd
from mtv_jax.models.mtv import spec as mtv
from mtv_jax.models.resunet import spec as resunet
from mtv_jax.models.spec import Composite, NetworkSpec
from mtv_jax.models.spleeter import spec as spleeter
from mtv_jax.models.syncnet import spec as syncnet
from mtv_jax.models.syncsynth import spec as syncsynth
from mtv_jax.models.t5 import spec as t5
from mtv_jax.models.unet2d import spec as unet2d
from mtv_jax.models.vae3d import spec as vae3d
from mtv_jax.models.videoclip_xl import spec as videoclip_xl
from mtv_jax.models.videocrafter import spec as videocrafter
from mtv_jax.models.wav2vec2 import spec as wav2vec2

NETWORKS: dict[str, NetworkSpec] = {
    declared.SPEC.name: declared.SPEC
    for declared in (
        mtv,
        dit,
        vae3d,
        t5,
        wav2vec2,
        beats,
        audiobox,
        syncsynth,
        spleeter,
        htdemucs,
        ge2e,
        effects_mask,
        syncnet,
        i3d,
        lr_asd,
        clip,
        videoclip_xl,
        imagebind,
        imagebind_audio,
        unet2d,
        videocrafter,
        resunet,
        clap,
        clap_text,
        cim,
        cim_unet2d,
        kl_vae,
        clip_text,
    )
}
"""Name -> network: the only table of networks."""


def network(name: str) -> NetworkSpec:
    """The network with a name. Raises UserError for an unknown name."""
    if name not in NETWORKS:
        raise UserError(f"network {name!r}: unknown; known are {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]


def spec_of(model: nn.Module) -> NetworkSpec:
    """The network of a module. Raises UserError for an undeclared network."""
    found = [spec for spec in NETWORKS.values() if spec.module is type(model)]
    if not found:
        raise UserError(f"network {type(model).__name__}: no spec in mtv_jax.models.registry.NETWORKS")
    return found[0]


def trained_by(task: str) -> tuple[str, ...]:
    """Names of the networks that a training task trains."""
    return tuple(name for name, spec in NETWORKS.items() if spec.task == task)


def controlnet_parameters(name: str) -> tuple[str, ...]:
    """Regular expressions of the parameters that a network adds to its backbone. Raises UserError if it has none."""
    return _composite(name).own_parameters


def stage_parameters(name: str) -> tuple[str, ...]:
    """Regular expressions of the parameters that a training stage updates: those of the controlnet, and those of the
    backbone that train with it. Raises UserError for a network without a controlnet."""
    return _composite(name).stage_parameters


def _composite(name: str) -> Composite:
    composite = network(name).composite
    if composite is None:
        raise UserError(f"network {name!r}: has no controlnet")
    return composite


def make_config(name: str, variant: str, overrides: Mapping[str, Any] | None = None) -> Any:
    """The named variant of a network's config with some fields replaced (nested dicts for nested configs)."""
    config_class = network(name).config
    make = getattr(config_class, variant, None)
    if not callable(make) or variant.startswith("_"):
        raise UserError(f"{name} variant {variant!r}: unknown; known are {', '.join(variants(name))}")
    return replace_fields(make(), overrides or {}, name)


def variants(name: str) -> list[str]:
    """The named variants of a network's config."""
    config_class = network(name).config
    return sorted(k for k, v in vars(config_class).items() if isinstance(v, classmethod))


def make_model(name: str, config: Any, *, dtype: Any = jnp.float32, **options: Any) -> nn.Module:
    """The module of a config. `options` are attributes such as `scan_layers` and `remat`."""
    return network(name).module(config=config, dtype=dtype, **options)  # pyright: ignore[reportCallIssue]


def replace_fields(config: Any, values: Mapping[str, Any], name: str = "config") -> Any:
    """A frozen dataclass with fields replaced from plain data (lists become tuples, dicts nest).

    Raises UserError for an unknown field, suggesting the closest name.
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
