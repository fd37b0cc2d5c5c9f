"""Stacks of identical layers: scanned (compiled once) or unrolled, with named remat policies."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

_STACK = "blocks"
"""The name of the stack of identical layers in every network."""

_LAYER_INPUT = "layer_input"

REMAT_POLICIES = {
    "none": None,
    "block": None,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "offload": jax.checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[_LAYER_INPUT],
        offload_src="device",
        offload_dst="pinned_host",
    ),
}


def stack_layers(
    block: type[nn.Module], length: int, *, num_broadcast: int, scan: bool = True, remat: str = "none"
) -> Callable[..., Any]:
    """A constructor of `length` copies of `block`, whose call is `(carry, *broadcast) -> (carry, None)`.

    Use it in `setup`, and call the result with `run_stack`. If scanned, the parameters of all layers are stacked on
    axis 0 under the name that the caller gives; otherwise layer i is named `<name>_<i>`. `remat` is `none`, `block`
    (store only the layer's input), `offload` (the same, in host memory; the layer must pass its carry through
    `layer_input`) or `dots` (store the outputs of products with weights).
    """
    block = rematerialised(block, remat, prevent_cse=not scan)
    if scan:
        return nn.scan(
            block,
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast,) * num_broadcast,  # pyright: ignore[reportArgumentType]
            length=length,
        )
    return lambda *args, **kwargs: [block(*args, **kwargs) for _ in range(length)]


def rematerialised(block: type[nn.Module], remat: str, *, prevent_cse: bool = True) -> type[nn.Module]:
    """`block` under a policy of `REMAT_POLICIES`. In a scan `prevent_cse` is not needed, and False compiles faster."""
    if remat == "none":
        return block
    return nn.remat(block, prevent_cse=prevent_cse, policy=REMAT_POLICIES[remat])


def layer_input(carry: Any) -> Any:
    """Marks `carry` as the value that `remat="offload"` stores on the host."""
    return jax.tree.map(lambda x: checkpoint_name(x, _LAYER_INPUT), carry)


def run_stack(stack: Any, carry: Any, *broadcast: Any) -> Any:
    """Runs all layers of a stack made by `stack_layers` and returns the carry."""
    if not isinstance(stack, (list, tuple)):
        return stack(carry, *broadcast)[0]
    for layer in stack:
        # Keeps XLA from fusing across layers, which it cannot do in a scan, so that the two forms differ more rarely,
        # and only in the last bits.
        carry, broadcast = jax.lax.optimization_barrier((carry, broadcast))
        carry, _ = layer(carry, *broadcast)
    return jax.lax.optimization_barrier(carry)


def unstack_params(params: Any) -> Any:
    """Converts the parameters of scanned stacks (`blocks`, layers on axis 0) to those of unrolled stacks (`blocks_0`,
    `blocks_1` ...), at any depth of the tree."""
    if not isinstance(params, Mapping):
        return params
    out: dict[str, Any] = {}
    for name, child in params.items():
        if name != _STACK:
            out[name] = unstack_params(child)
            continue
        for i in range(jax.tree.leaves(child)[0].shape[0]):
            out[f"{_STACK}_{i}"] = unstack_params(jax.tree.map(lambda x, i=i: x[i], child))
    return out


def stack_params(params: Any) -> Any:
    """The inverse of `unstack_params`."""
    if not isinstance(params, Mapping):
        return params
    children = {name: stack_params(child) for name, child in params.items()}
    layers = [name for name in children if re.fullmatch(rf"{_STACK}_\d+", name)]
    out = {name: child for name, child in children.items() if name not in layers}
    if layers:
        ordered = [children[f"{_STACK}_{i}"] for i in range(len(layers))]
        out[_STACK] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *ordered)
    return out
