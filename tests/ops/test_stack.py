"""Stacks of layers, scanned or written out."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import make_small

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.ops.stack import (
    REMAT_POLICIES,
    layer_input,
    run_stack,
    stack_layers,
    stack_params,
    unstack_params,
)


def test_scanned_parameters_become_those_of_a_written_out_model_and_back():
    model, params = make_small("mtv")
    written_out = unstack_params(params)
    wanted = parameter_shapes(make_model("mtv", model.config, scan_layers=False))
    assert jax.tree.map(np.shape, written_out) == jax.tree.map(lambda leaf: leaf.shape, wanted)
    jax.tree.map(np.testing.assert_array_equal, stack_params(written_out), params)


def test_more_than_ten_layers_keep_their_order():
    params = {"params": {"blocks": {"kernel": np.arange(12.0)}, "norm": {"scale": np.ones(2)}}}
    assert float(unstack_params(params)["params"]["blocks_11"]["kernel"]) == 11
    jax.tree.map(np.testing.assert_array_equal, stack_params(unstack_params(params)), params)


class Layer(nn.Module):
    """A layer in the form that stacks want."""

    @nn.compact
    def __call__(self, x):
        x = layer_input(x)
        return x + nn.Dense(8)(jnp.sin(nn.Dense(16)(x))), None


@pytest.fixture(scope="module")
def gradients():
    """The gradient's function of a stack under each remat policy, and its arguments."""

    def of(remat):
        stack = stack_layers(Layer, 5, num_broadcast=0, remat=remat)()
        return jax.jit(jax.grad(lambda params, x: (run_stack(stack.bind(params), x) ** 2).mean()))

    x = jax.random.normal(jax.random.key(0), (3, 8))
    params = stack_layers(Layer, 5, num_broadcast=0)().init(jax.random.key(1), x)
    return of, (params, x)


@pytest.mark.parametrize("remat", [name for name in REMAT_POLICIES if name != "none"])
def test_what_is_kept_for_the_backward_pass_changes_no_gradient(gradients, remat):
    of, arguments = gradients
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        of(remat)(*arguments),
        of("none")(*arguments),
    )


def test_offload_keeps_layer_inputs_on_the_host_and_nothing_else_does(gradients):
    of, arguments = gradients
    to_host = {
        remat for remat in REMAT_POLICIES if "<host>[5,3,8]" in str(jax.make_jaxpr(of(remat))(*arguments))
    }
    assert to_host == {"offload"}


def test_a_deeper_network_is_no_larger_program():
    """What compiling takes follows the program's size; `benchmarks/compile_time.py` measures the time."""

    def lines(layers):
        small = {"num_layers": layers, "num_attention_heads": 2, "text_embed_dim": 32}
        model: Any = make_model("dit", make_config("dit", "tiny", small), remat="block")
        text = Conditions(jnp.zeros((1, 8, 32)))
        inputs = jnp.zeros((1, 3, 8, 8, model.config.in_channels)), jnp.zeros(1), text
        loss = jax.grad(lambda params, *rest: model.apply(params, *rest).sum())
        return jax.jit(loss).lower(parameter_shapes(model), *inputs).as_text().count("\n")

    assert lines(16) < 1.3 * lines(4)
