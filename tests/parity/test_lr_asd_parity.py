"""LR-ASD against its layers in torch, at the published size, and its cepstra against python_speech_features."""

import os

import numpy as np
import pytest
from goldens import make_keys

from mtv_jax.curation.adapters.lr_asd import sound_of
from mtv_jax.weights.lr_asd import load_lr_asd

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
make_lr_asd = pytest.importorskip("goldens.make_lr_asd")
SEED = int(os.environ.get("MTV_JAX_SEED", "0"))


def test_a_checkpoint_of_the_published_size_gives_what_it_gives_in_torch(tmp_path):
    torch.manual_seed(SEED)
    network = make_lr_asd.random_network(make_lr_asd.WIDTHS)
    assert make_lr_asd.shapes(network) == make_keys.read_list(make_keys.FOLDER / "lr_asd.txt")
    torch.save(network.state_dict(), tmp_path / "random.model")
    model, params = load_lr_asd(tmp_path / "random.model")
    faces, cepstra = make_lr_asd.random_inputs(1, 9, 112)
    with torch.no_grad():
        expected = network(faces, cepstra).numpy()
    found = np.asarray(model.apply(params, faces.numpy(), cepstra.numpy(), np.array([9], np.int32)))
    assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())
    assert np.ptp(expected[0, :, 1]) > 1e-3


def test_the_cepstra_are_those_of_python_speech_features():
    features = pytest.importorskip("python_speech_features")
    sound = np.random.default_rng(SEED).normal(0, 3000, 9 * 640 + 240).astype(np.int16)
    expected = features.mfcc(sound, 16_000, numcep=13, winlen=0.025, winstep=0.010)
    np.testing.assert_allclose(sound_of(sound / 2**15, 0, 9), expected, rtol=1e-5, atol=1e-4)
