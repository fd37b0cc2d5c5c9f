"""Splits and merges the parameters of a network with a controlnet (`mtv_jax.models.spec.Composite`)."""

from typing import Any

from mtv_jax.models.spec import Composite
from mtv_jax.typing import Params
from mtv_jax.weights.rules import flat_paths, from_flat_paths


def split_params(params: Params, composite: Composite, backbone: Params) -> tuple[Params, Params]:
    """Splits the parameters of a composite network into those of its backbone alone and its own, under its own paths.

    `backbone` are the backbone's parameters or their shapes; only its paths are read.
    """
    group = f"{composite.backbone_group}/"
    theirs = {group + path for path in flat_paths(backbone)}
    flat = flat_paths(params)
    shared = {path.removeprefix(group): leaf for path, leaf in flat.items() if path in theirs}
    own = {path: leaf for path, leaf in flat.items() if path not in theirs}
    return from_flat_paths(shared), from_flat_paths(own)


def join_params(composite: Composite, backbone: Params, own: Params | None = None) -> Params:
    """The inverse of `split_params`; without `own` the backbone's parameters under the paths they have in the whole."""
    flat: dict[str, Any] = {
        f"{composite.backbone_group}/{path}": leaf for path, leaf in flat_paths(backbone).items()
    }
    return from_flat_paths(flat | (flat_paths(own) if own is not None else {}))
