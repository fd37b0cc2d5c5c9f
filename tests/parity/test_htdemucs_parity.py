"""Live comparison of HTDemucs with demucs. `MTV_JAX_SEED` draws weights and sizes."""

import os
from fractions import Fraction

import jax
import numpy as np
import pytest

from mtv_jax.audio.separation.cdx23 import CDX23, overlapped_stems
from mtv_jax.models.registry import make_model
from mtv_jax.models.shapes import parameter_counts, parameter_shapes
from mtv_jax.weights import htdemucs as table
from mtv_jax.weights.demucs_files import load_demucs
from mtv_jax.weights.rules import to_tensors

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
demucs = pytest.importorskip("demucs.htdemucs", reason="needs demucs: the extra parity")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
SOURCES = ["music", "sfx", "speech"]
SIZES = {
    "bottom": {"nfft": 1024, "depth": 3, "dconv_mode": 3, "bottom_channels": 24, "t_heads": 3},
    "plain": {"nfft": 2048, "depth": 4, "dconv_mode": 3, "channels": 4, "t_heads": 4},
    "encoders": {"nfft": 512, "depth": 2, "dconv_mode": 1, "channels": 6, "t_heads": 2, "audio_channels": 1},
}


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def random_options(case: str) -> dict:
    """demucs' arguments of a small network of random sizes."""
    rng = np.random.default_rng(SEED)
    options = {
        "sources": SOURCES,
        "channels": int(rng.integers(5, 9)),
        "dconv_comp": int(rng.integers(2, 4)),
        "dconv_depth": int(rng.integers(1, 4)),
        "t_layers": int(rng.integers(2, 6)),
        "t_hidden_scale": float(rng.choice([1.5, 2.0, 4.0])),
        "freq_emb": float(rng.choice([0.1, 0.2])),
        "emb_scale": float(rng.choice([5, 10])),
        "samplerate": 8000,
        "segment": Fraction(int(rng.integers(3000, 6000)), 8000),
    }
    return options | SIZES[case]


def random_original(case: str):
    """A small network of demucs in which every weight is random, and a generator."""
    model = demucs.HTDemucs(**random_options(case)).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.startswith("freq_emb"):
                weight.copy_(0.1 * noise)
            elif weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            else:
                weight.copy_((1 if name.endswith(("scale", "weight")) else 0) + 0.2 * noise)
    return model, generator


def saved(model, path, *, half: bool = False):
    """The network in a file of demucs, read by ours: module and parameters."""
    from demucs.states import get_state

    kwargs = model._init_args_kwargs[1]
    state = get_state(model, None, half=half)
    torch.save({"klass": type(model), "args": (), "kwargs": kwargs, "state": state}, path)
    return load_demucs(path)


@pytest.mark.parametrize("case", SIZES)
def test_stems_agree(case, tmp_path):
    original, generator = random_original(case)
    model, params = saved(original, tmp_path / "model.th")
    segment = model.config.segment_samples
    for length in (segment, segment - 1234):
        mix = torch.randn((2, original.audio_channels, length), generator=generator)
        with torch.no_grad():
            want = original(mix).swapaxes(2, 3).numpy()
        stems = jax.jit(model.apply)(params, mix.swapaxes(1, 2).numpy())
        assert relative(stems, want) < 1e-5


@pytest.mark.parametrize("bottom", [0, 512])
def test_tensors_of_the_released_sizes_have_their_parameters(bottom):
    options = {"sources": SOURCES, "dconv_mode": 3, "bottom_channels": bottom}
    with torch.device("meta"):
        original = demucs.HTDemucs(**options, rescale=0)
    model = make_model("htdemucs", table.config_from_json(options))
    theirs = {key: tuple(tensor.shape) for key, tensor in original.state_dict().items()}
    ours = to_tensors(parameter_shapes(model), table.RULES)
    assert {key: tensor.shape for key, tensor in ours.items()} == theirs
    total = sum(parameter_counts(model).values())
    assert total == {0: 27_408_066, 512: 41_982_146}[bottom]


@pytest.mark.parametrize("seconds", [0.3, 1.7])
def test_long_sounds_are_separated_as_by_apply_model(seconds, tmp_path):
    from demucs.apply import BagOfModels, apply_model

    originals = []
    for case in ("bottom", "plain"):
        original, generator = random_original(case)
        saved(original.half().float(), tmp_path / f"{case}.th", half=True)
        originals.append(original)
    mix = 0.1 * torch.randn((1, 2, round(8000 * seconds)), generator=generator)
    want = apply_model(BagOfModels(originals), mix, shifts=0, split=True, overlap=0.8)[0].numpy()
    networks = CDX23(str(tmp_path))._networks
    stems = np.mean([overlapped_stems(network, mix[0].numpy().T) for network in networks], axis=0)
    assert relative(stems, want.swapaxes(1, 2)) < 1e-5
