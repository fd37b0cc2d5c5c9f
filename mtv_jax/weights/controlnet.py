"""The controlnet's own files: what MTV adds to a backbone, under the names of our parameters.

`controlnet.speech.proj1.kernel`, `injection.attn_speech.to_q.kernel` ...: parameter paths with dots, arrays as
they are here (inputs first), the layers of a stack on axis 0.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.models.mst_controlnet.config import MSTControlNetConfig
from mtv_jax.typing import Params
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import flat_paths, from_flat_paths

_INJECTION = "transformer/blocks/injection/"


def config_from_json(values: Mapping[str, Any]) -> MSTControlNetConfig:
    """The config in a `config.json` of ours."""
    same = {field.name: field.name for field in fields(MSTControlNetConfig)}
    origin = "config.json of MSTControlNet"
    required = ("audio_layers", "audio_channels")
    chosen = read_fields(values, same, harmless=DIFFUSERS_HARMLESS, required=required, origin=origin)
    return MSTControlNetConfig(**chosen)


def config_to_json(config: MSTControlNetConfig) -> dict[str, Any]:
    """The `config.json` of a config."""
    return {"_class_name": "MSTControlNet", **asdict(config)}


def split(params: Params) -> tuple[Params, dict[str, np.ndarray]]:
    """MTV's (scanned) parameters as those of the backbone and the controlnet's tensors by name."""
    backbone, tensors = {}, {}
    for path, leaf in flat_paths(params).items():
        if path.startswith(_INJECTION):
            tensors["injection." + path.removeprefix(_INJECTION).replace("/", ".")] = np.asarray(leaf)
        elif path.startswith("controlnet/"):
            tensors[path.replace("/", ".")] = np.asarray(leaf)
        else:
            backbone[path.removeprefix("transformer/")] = leaf
    return from_flat_paths(backbone), tensors


def join(backbone: Params, tensors: Mapping[str, Any], shapes: Params, origin: str) -> Params:
    """The inverse of `split`. Raises UserError naming tensors that are missing, left over or of another shape."""
    flat = {f"transformer/{path}": leaf for path, leaf in flat_paths(backbone).items()}
    for name, tensor in tensors.items():
        path = name.replace(".", "/")
        flat[path if name.startswith("controlnet.") else _INJECTION + path.removeprefix("injection/")] = (
            tensor
        )
    wanted = flat_paths(shapes)
    missing, extra = sorted(set(wanted) - set(flat)), sorted(set(flat) - set(wanted))
    wrong = [p for p in wanted if p in flat and tuple(flat[p].shape) != tuple(wanted[p].shape)]
    for what, names in (("missing", missing), ("left over", extra), ("of another shape", wrong)):
        if names:
            more = f" and {len(names) - 20} more" if len(names) > 20 else ""
            raise UserError(f"{origin}: tensors {what}: {', '.join(names[:20])}{more}")
    return from_flat_paths(flat)
