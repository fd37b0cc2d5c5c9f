"""`MosaicOptions.released` against the authors' code (tests/goldens/maestro_region)."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import ORIGINALS
from safetensors.numpy import load_file

from mtv_jax.diffusion.mosaic.attention import mosaic_attention
from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.diffusion.mosaic.options import MosaicOptions
from mtv_jax.ops.attention import merge_heads, split_heads

FOLDER = ORIGINALS / "maestro_region"
TOKENS = 10
"""Of each of the two sources: the released code has this number."""
EDITED, EXACT = 5e-3, 1e-4
"""The golden's bounds: its Gaussians are float16."""


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "io.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def weights():
    return load_file(FOLDER / "weights.safetensors")


@pytest.fixture(scope="module")
def values():
    return json.loads((FOLDER / "config.json").read_text())


def attend(golden, weights, values, text, options, *, locating):
    """The output of the golden's layer; `text` [f l d] is each frame's own."""
    first = golden["context"][:, 1 : 1 + 2 * TOKENS]
    tokens = np.concatenate([text, first], 1)
    boxes = jnp.zeros((1, 2, len(tokens), 4))  # the released code does not look at them
    both = jnp.ones((1, 2), bool)
    mosaic = Mosaic(("1", "2"), boxes, ~both, both, jnp.zeros(1), options)
    contexts = Contexts(jnp.asarray(tokens)[None], mosaic, jnp.array([locating]), text.shape[1])
    q, k, v = (
        split_heads(x @ weights[f"to_{name}.weight"].T, values["cross_attention"]["heads"])
        for name, x in (("q", golden["x"]), ("k", tokens), ("v", tokens))
    )
    grid = values["dim_y"], values["dim_x"]
    out = jax.jit(mosaic_attention, static_argnames="grid")(q, k, v, contexts, grid)
    return np.asarray(merge_heads(out)) @ weights["to_out.0.weight"].T + weights["to_out.0.bias"]


def released(values, layout, **changes):
    """The preset, with the golden's own scales."""
    scales = {"strength": values["spatial_strengthen_scale"], "weaken": values["spatial_weaken_scale"]}
    return dataclasses.replace(MosaicOptions.released(layout), **(scales | changes))


def test_the_preset_has_the_published_scales():
    options = MosaicOptions.released("LR")
    assert (options.strength, options.weaken, options.first_slot) == (0.5, 0.05, 1)


@pytest.mark.parametrize("layout", ["LR", "TD"])
def test_denoising_in_halves_is_the_released_one(golden, weights, values, layout):
    options = released(values, layout)
    found = attend(golden, weights, values, golden["uc_context"], options, locating=False)
    np.testing.assert_allclose(found, golden[f"out.region_{layout}"], atol=EXACT)


@pytest.mark.parametrize("layout", ["LR", "TD"])
@pytest.mark.parametrize(("extra", "name"), [(0, "F"), (1, "Fplus1")])
def test_locating_is_the_released_one(golden, weights, values, layout, extra, name):
    options = released(values, layout, extra_boxes=extra)
    found = attend(golden, weights, values, golden["context"], options, locating=True)
    np.testing.assert_allclose(found, golden[f"out.injection_{layout}_boxes_{name}"], atol=EDITED)
