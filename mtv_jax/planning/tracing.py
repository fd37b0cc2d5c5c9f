"""Tracing programs for any platform, and the jaxprs nested in their equations."""

from collections.abc import Callable
from typing import Any, Literal

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn  # pyright: ignore[reportPrivateImportUsage]
from jax.sharding import AbstractDevice, AbstractMesh, AxisType

from mtv_jax.sharding.mesh import AXES


def trace(function: Callable[..., Any], *shapes: Any, platform: Literal["cpu", "tpu"]) -> ClosedJaxpr:
    """The jaxpr of `function` for one device of a platform, which need not be attached; nothing is computed.

    The platform determines which attention implementation is traced (`mtv_jax.ops.attention`).
    """
    device = AbstractDevice(platform.upper(), None, platform)
    mesh = AbstractMesh(
        (1,) * len(AXES), AXES, axis_types=(AxisType.Auto,) * len(AXES), abstract_device=device
    )
    with jax.sharding.use_abstract_mesh(mesh):
        return jax.make_jaxpr(function)(*shapes)


def inner_jaxprs(equation: JaxprEqn) -> list[Jaxpr]:
    """The jaxprs inside an equation: of a loop, a branch, a call, a kernel."""
    found = []
    for value in equation.params.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(part, ClosedJaxpr):
                found.append(part.jaxpr)
            elif isinstance(part, Jaxpr):
                found.append(part)
    return found
