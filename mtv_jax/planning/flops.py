"""Floating point operations of a denoiser, counted in its traced program.

The compiler's cost analysis counts the body of a loop once. Here the equations of the jaxpr are visited, and the body
of a scan is multiplied by its length. Only matrix products and convolutions are counted (a multiply-add is two
operations); norms, softmax and activations are a few per cent of a transformer.

Training is counted from the same forward program. The gradient of a product with respect to one of its operands costs
as much as the product, and it is needed if that operand depends on a trainable parameter. This dependence is
propagated through the program.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Literal  # pyright: ignore[reportPrivateImportUsage]

from mtv_jax.models.denoisers import backbone_config, denoiser_inputs
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.planning.tracing import inner_jaxprs, trace
from mtv_jax.sharding.rules import map_paths
from mtv_jax.typing import Params


@dataclass(frozen=True)
class Flops:
    """Operations of a program: of its products, and of their gradients in training."""

    forward: float = 0.0
    backward: float = 0.0

    def __add__(self, other: "Flops") -> "Flops":
        return Flops(self.forward + other.forward, self.backward + other.backward)

    def __mul__(self, times: int) -> "Flops":
        return Flops(times * self.forward, times * self.backward)


@dataclass(frozen=True)
class ForwardPass:
    """The traced call of a denoiser on one clip.

    Attributes:
      jaxpr: its program; the first inputs are the leaves of `params`.
      params: shapes of the parameters, `{"params": ...}`.
    """

    jaxpr: Jaxpr
    params: Params

    @property
    def total(self) -> float:
        """Operations of the forward pass."""
        return self._count(lambda path: False).forward

    def training(self, trains: Callable[[str], bool], *, recomputes: bool) -> tuple[float, float]:
        """Operations of a training step on one clip: model FLOPs, and hardware FLOPs (with rematerialisation).

        Args:
          trains: predicate on a parameter's path: whether it is trainable.
          recomputes: whether blocks are rematerialised, so that the forward pass runs twice. Recomputation
            inside the backward pass of an attention kernel is not counted.
        """
        flops = self._count(trains)
        needed = flops.forward + flops.backward
        return needed, needed + (flops.forward if recomputes else 0.0)

    def _count(self, trains: Callable[[str], bool]) -> Flops:
        trained = jax.tree.leaves(map_paths(lambda path, _: trains(path), self.params))
        data = len(self.jaxpr.invars) - len(trained)
        return count_flops(self.jaxpr, [*trained, *[False] * data])


def forward_flops(model: Any, size: LatentSize, *, sources: int = 0) -> ForwardPass:
    """The forward pass of a denoiser on one clip, traced with the reference implementation of attention.

    `sources`: as of `denoiser_inputs`.
    """
    params = parameter_shapes(model)
    program = trace(
        model.apply, params, *denoiser_inputs(model, astuple(size), sources=sources), platform="cpu"
    )
    return ForwardPass(program.jaxpr, params)


def num_tokens(model: Any, size: LatentSize) -> int:
    """Video and text tokens of the transformer for one clip."""
    return backbone_config(model).num_tokens(*astuple(size))


def count_flops(jaxpr: Jaxpr, trained: Sequence[bool] | None = None) -> Flops:
    """Operations of a jaxpr's matrix products and convolutions.

    Args:
      jaxpr: the body of a scan is multiplied by its length, a Pallas kernel by its grid size; of a conditional the most
        expensive branch is counted, and the body of a `while` loop, of unknown trip count, once.
      trained: whether each input is trainable; by default none is.
    """
    return _walk(jaxpr, trained or [False] * len(jaxpr.invars))[0]


_Found = tuple[Flops, list[bool]]
"""Operations, and for each output whether it depends on a trainable input."""


def _walk(jaxpr: Jaxpr, trained: Sequence[bool]) -> _Found:
    depends = dict(zip(jaxpr.invars, trained, strict=True))

    def known(atoms: Sequence[Any]) -> list[bool]:
        return [not isinstance(x, Literal) and depends.get(x, False) for x in atoms]

    total = Flops()
    for equation in jaxpr.eqns:
        flops, outputs = _equation(equation, known(equation.invars))
        total += flops
        depends |= zip(equation.outvars, outputs, strict=True)
    return total, known(jaxpr.outvars)


def _equation(equation: JaxprEqn, given: list[bool]) -> _Found:
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        (body,) = inner_jaxprs(equation)
        carried = len(body.outvars) - _stacked(equation.outvars, body.outvars)
        constants = len(body.invars) - _stacked(equation.invars, body.invars) - carried
        flops, outputs = _loop(body, given, constants, carried)
        return flops * params["length"], outputs
    if name == "while":
        condition, constants = params["cond_nconsts"], params["body_nconsts"]
        given, body = given[condition:], params["body_jaxpr"].jaxpr
        return _loop(body, given, constants, len(given) - constants)
    if name == "pallas_call":
        (kernel,) = inner_jaxprs(equation)
        flops, _ = _walk(kernel, [any(given)] * len(kernel.invars))
        return flops * math.prod(params["grid_mapping"].grid), [any(given)] * len(equation.outvars)
    if name == "cond":
        return _dearest([_walk(branch, given[1:]) for branch in inner_jaxprs(equation)])
    inner = inner_jaxprs(equation)
    return _walk(inner[0], given) if inner else _primitive(equation, given)


def _loop(body: Jaxpr, given: list[bool], constants: int, carried: int) -> _Found:
    """One iteration of a loop, with `[constants, carry, slices]` trainable as in any later iteration."""
    carry = slice(constants, constants + carried)
    while True:
        flops, outputs = _walk(body, given)
        later = [a or b for a, b in zip(given[carry], outputs[:carried], strict=True)]
        if later == given[carry]:
            return flops, outputs
        given = [*given[:constants], *later, *given[carry.stop :]]


def _stacked(wholes: Sequence[Any], parts: Sequence[Any]) -> int:
    """Number of scanned inputs or outputs: those with one axis more than in the body.

    The equation's parameters for this differ between versions of JAX.
    """
    return sum(whole.aval.ndim > part.aval.ndim for whole, part in zip(wholes, parts, strict=True))


def _dearest(branches: list[_Found]) -> _Found:
    flops = max((flops for flops, _ in branches), key=lambda x: (x.forward, x.backward))
    return flops, [any(outputs) for outputs in zip(*(outputs for _, outputs in branches), strict=True)]


def _primitive(equation: JaxprEqn, given: list[bool]) -> _Found:
    forward = _product(equation)
    depends = any(given) and equation.primitive.name != "stop_gradient"
    outputs = [depends and _is_float(x) for x in equation.outvars]
    return Flops(forward, forward * sum(given[:2])), outputs


def _product(equation: JaxprEqn) -> float:
    """Operations of one matrix product or convolution; of any other primitive 0."""
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        terms = math.prod(_shape(equation.invars[0])[axis] for axis in contracted)
    elif name == "conv_general_dilated":
        kernel = _shape(equation.invars[1])
        outputs_axis = params["dimension_numbers"].rhs_spec[0]
        # A transposed convolution is written as one of an input with zeros between its cells.
        terms = math.prod(kernel) / kernel[outputs_axis] / math.prod(params["lhs_dilation"])
    else:
        return 0.0
    return 2.0 * terms * math.prod(_shape(equation.outvars[0]))


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _is_float(variable: Any) -> bool:
    return jnp.issubdtype(variable.aval.dtype, jnp.inexact)
