"""HTDemucs against numbers of demucs, and its options. Networks are the small ones that demucs stored (goldens)."""

import json
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import OURS

from mtv_jax.io.errors import UserError
from mtv_jax.models.htdemucs import HTDemucs, HTDemucsConfig
from mtv_jax.weights import htdemucs as table
from mtv_jax.weights.demucs_files import load_demucs
from mtv_jax.weights.rules import to_state
from mtv_jax.weights.torch_files import read_package

FOLDER = OURS / "htdemucs"
NUMBERS = dict(np.load(FOLDER / "io.npz"))


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def test_stems_agree_with_demucs():
    """A sound shorter than the segment. The network `three` is compared in tests/audio/separation/test_cdx23.py."""
    package = read_package(FOLDER / "two.th")
    model, params = load_demucs(FOLDER / "two.th")
    stems = jax.jit(model.apply)(params, NUMBERS["two.mix"].T[None])
    want = NUMBERS["two.stems"].swapaxes(1, 2)
    assert stems.shape == (1, *want.shape)
    assert relative(stems[0], want) < 1e-5
    back = to_state(params, table.RULES)
    assert set(back) == set(package.state)
    for key, tensor in package.state.items():
        np.testing.assert_array_equal(back[key], np.asarray(tensor))


def test_sounds_of_another_form_are_refused():
    model = HTDemucs(HTDemucsConfig.tiny())
    for shape in ((1, 1501, 2), (1, 1500, 1)):
        with pytest.raises(UserError, match=rf"sound of {shape[1]} samples and {shape[2]} channels"):
            jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))


def test_options_round_trip_with_the_exact_length_of_a_segment():
    for segment, samples in ((Fraction(39, 5), 343_980), (7.8, 343_980), (11, 485_100)):
        config = table.config_from_json({"sources": ["a", "b"], "segment": segment, "bottom_channels": 0})
        assert (config.segment_samples, config.bottom_channels) == (samples, None)
        written = json.loads(json.dumps(table.config_to_json(config)))
        assert table.config_from_json(written) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cac": False}, "cac = False is not supported"),
        ({"t_emb": "cape"}, "t_emb = 'cape' is not supported"),
        ({"multi_freqs": [0.5]}, r"multi_freqs = \[0.5\] is not supported"),
        ({"norm_starts": 3}, "norm_starts = 3 is not supported"),
        ({"use_train_segment": False}, "use_train_segment = False"),
        ({"t_sparse_self_attn": True}, "t_sparse_self_attn = True"),
        ({"dconv_lstm": 4}, "unknown keys dconv_lstm"),
        ({"depth": 5}, "nfft 4096, depth 5: "),
        ({"dconv_mode": 2}, "dconv_mode 2: must be one of 1, 3"),
        ({"bottom_channels": 30}, "transformer of width 30"),
        ({"segment": 0}, "segment = 0: must be seconds above 0"),
        ({"segment": 0.05}, "segment of 2205 samples: must be above 2.5 hops"),
        ({"sources": ["a", "a"]}, "sources .*different names"),
    ],
)
def test_options_without_support_are_named(options, message):
    with pytest.raises(UserError, match=message):
        table.config_from_json({"sources": ["a", "b"]} | options)


@pytest.mark.slow
def test_bfloat16_is_close():
    model, params = load_demucs(FOLDER / "two.th")
    half = HTDemucs(model.config, dtype=jnp.bfloat16)
    stems = jax.jit(half.apply)(params, NUMBERS["two.mix"].T[None])
    assert relative(stems[0], NUMBERS["two.stems"].swapaxes(1, 2)) < 3e-2
