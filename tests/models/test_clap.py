"""CLAP against numbers of transformers, and what the modules promise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from mtv_jax import load_model, save_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import Clap, ClapAudioConfig, ClapConfig, ClapText, ClapTextConfig
from mtv_jax.models.clap.audio import PatchEmbedding
from mtv_jax.models.clap.swin import Stage, shift_mask
from mtv_jax.models.registry import replace_fields
from mtv_jax.weights import clap as table
from mtv_jax.weights.rules import to_state

CASES = ("unfused", "fused")


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "clap.npz") as file:
        return dict(file)


def part(golden, prefix):
    return {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}


@functools.cache
def run(model: Clap):
    """The network with the outputs of its parts, compiled."""

    def is_part(module, method) -> bool:
        return isinstance(module, (Stage, PatchEmbedding)) or (module.name or "").endswith("_projection")

    return jax.jit(functools.partial(model.apply, mutable=["intermediates"], capture_intermediates=is_part))


@pytest.fixture(scope="module", params=CASES)
def case(request, golden, tmp_path_factory):
    """Name, network from a folder as transformers writes it, and the golden's numbers."""
    path = tmp_path_factory.mktemp("clap")
    numbers = part(golden, f"{request.param}.")
    (path / "config.json").write_text(str(numbers["config"]))
    save_file(part(numbers, "weights."), path / "model.safetensors")
    return request.param, *load_model(path), numbers


def close(found, want) -> None:
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def test_every_stage_and_layer_agrees_with_transformers(case):
    _, model, params, want = case
    inputs = want["mel"], want["tokens"], want["longer"]
    (per_audio, per_text), seen = run(model)(params, *inputs)
    seen = seen["intermediates"]
    audio = seen["audio"]
    close(audio["patches"]["__call__"][0], want["patches"])
    for i in range(len(model.config.audio.depths)):
        close(audio[f"stage_{i}"]["__call__"][0], want[f"stage.{i}"])
    for i, layer in enumerate(seen["text"]["blocks"]["output"][0]):
        heard = want["tokens"] != model.config.text.pad_token_id
        close(np.asarray(layer)[heard], want[f"text.{i + 1}"][heard])
    for half in ("audio", "text"):
        close(seen[f"{half}_projection"]["__call__"][0], want[f"{half}_features"])
    close(per_audio, want["logits_per_audio"])
    close(per_text, want["logits_per_text"])
