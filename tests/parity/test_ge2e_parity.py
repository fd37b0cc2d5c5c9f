"""The released speaker encoder against Resemblyzer itself, in torch."""

import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from goldens import make_keys

from mtv_jax.curation.adapters.resemblyzer import INSTALL, mel_spectrogram
from mtv_jax.weights.ge2e import load_resemblyzer
from mtv_jax.weights.torch_files import read_torch

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
SPEC = importlib.util.find_spec("resemblyzer")
if SPEC is None or not SPEC.submodule_search_locations:
    pytest.skip(f"resemblyzer is not installed ({INSTALL})", allow_module_level=True)

FOLDER = Path(SPEC.submodule_search_locations[0])
RNG = np.random.default_rng(int(os.environ.get("MTV_JAX_SEED", "0")))


@pytest.fixture(scope="module")
def original():
    """`VoiceEncoder` with its weights; its `audio` needs more packages, and is left out."""
    package, audio = types.ModuleType("resemblyzer"), types.ModuleType("resemblyzer.audio")
    package.__path__ = [str(FOLDER)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "resemblyzer", package)
        patch.setitem(sys.modules, "resemblyzer.audio", audio)
        patch.setattr(torch, "load", lambda path, **kw: {"model_state": released()})
        module = importlib.import_module("resemblyzer.voice_encoder")
        made = module.VoiceEncoder("cpu", verbose=False)
        for name in [name for name in sys.modules if name.startswith("resemblyzer.")]:
            patch.delitem(sys.modules, name)
    return made


def released():
    with (FOLDER / "pretrained.pt").open("rb") as file:
        return LOAD(file, map_location="cpu", weights_only=True)["model_state"]


LOAD = torch.load


def test_the_file_is_read_as_torch_reads_it():
    found = read_torch([FOLDER / "pretrained.pt"], entry="model_state")
    expected = released()
    assert {key: tuple(value.shape) for key, value in expected.items()} == make_keys.read_list(
        make_keys.FOLDER / "resemblyzer.txt"
    )
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(np.asarray(found[key]), value.numpy(), err_msg=key)


def test_voices_are_embedded_as_by_the_original(original):
    model, params = load_resemblyzer(FOLDER / "pretrained.pt")
    sound = (0.1 * RNG.standard_normal(3 * 16_000)).astype(np.float32)
    sound *= np.sin(np.arange(len(sound)) / 1500).astype(np.float32)
    mels = mel_spectrogram(sound, model)
    batch = np.stack([mels[start : start + model.config.frames] for start in (0, 40, 140)])
    with torch.no_grad():
        expected = original(torch.from_numpy(batch)).numpy()
    found = np.asarray(model.apply(params, batch))
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
