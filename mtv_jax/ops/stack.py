"""Stacks of equal layers: scanned (one copy compiled) or written out, with named remat policies."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

REMAT_POLICIES = {
    "none": None,
    "block": None,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


def stack_layers(
    block: type[nn.Module], length: int, *, num_broadcast: int, scan: bool = True, remat: str = "none"
) -> Callable[..., Any]:
    """A constructor of `length` copies of `block`, whose call is `(carry, *broadcast) -> (carry, None)`.

    Use it in `setup`, and call the result by `run_stack`. Scanned, the parameters of all layers are
    stacked on axis 0 under the name the caller gives; otherwise layer i is named `<name>_<i>`. `remat` is
    `none`, `block` (keep only the layer's input) or `dots` (keep the outputs of products with weights).
    """
    if remat != "none":
        block = nn.remat(block, prevent_cse=not scan, policy=REMAT_POLICIES[remat])
    if scan:
        return nn.scan(
            block,
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True},
            in_axes=(nn.broadcast,) * num_broadcast,  # pyright: ignore[reportArgumentType]
            length=length,
        )
    return lambda *args, **kwargs: [block(*args, **kwargs) for _ in range(length)]


def run_stack(stack: Any, carry: Any, *broadcast: Any) -> Any:
    """The carry after all layers of what `stack_layers` made."""
    if not isinstance(stack, (list, tuple)):
        return stack(carry, *broadcast)[0]
    for layer in stack:
        carry, _ = layer(carry, *broadcast)
    return carry
