"""Finds arithmetic in low precision: reads a function's jaxpr, calls and loops included."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

SENSITIVE = frozenset(
    [
        *("exp", "exp2", "expm1", "log", "log1p", "logistic", "tanh", "erf", "erfc", "erf_inv"),
        *("sin", "cos", "tan", "atan2", "sqrt", "rsqrt", "cbrt", "pow", "integer_pow", "div", "square"),
        *("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "cumsum", "cumlogsumexp", "argmax"),
    ]
)
"""Primitives of norms, softmax, sinusoids, rotations and schedules: transcendental functions, roots,
divisions and reductions."""

ACTIVATIONS = frozenset(["tanh", "erf", "erfc", "logistic", "integer_pow", "square"])
"""What GELU (tanh or erf, and a cube) and SiLU are made of: these may run in low precision."""

LOW = (jnp.bfloat16, jnp.float16)


def low_precision(function: Callable[..., Any], *args: Any, allowed: Iterable[str] = ()) -> list[str]:
    """The sensitive primitives that `function(*args)` runs on bfloat16 or float16, but for those `allowed`.

    Each is named with the module it is in. `args` may be ShapeDtypeStructs.
    """
    watched = SENSITIVE - set(allowed)
    closed = jax.make_jaxpr(function)(*args)
    found = []
    for equation in equations(closed.jaxpr):
        low = any(getattr(v.aval, "dtype", None) in LOW for v in (*equation.invars, *equation.outvars))
        if low and equation.primitive.name in watched:
            found.append(f"{equation.primitive.name} in {equation.source_info.name_stack}")
    return sorted(set(found))


def products(function: Callable[..., Any], *args: Any) -> set[str]:
    """The types of the inputs of all matrix products and convolutions that `function(*args)` runs."""
    closed = jax.make_jaxpr(function)(*args)
    kinds = ("dot_general", "conv_general_dilated")
    return {str(v.aval.dtype) for e in equations(closed.jaxpr) if e.primitive.name in kinds for v in e.invars}


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations, those of inner jaxprs (calls, loops, branches) included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from equations(getattr(inner, "jaxpr", inner))


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")
