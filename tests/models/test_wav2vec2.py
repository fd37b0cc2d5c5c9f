"""wav2vec2 against numbers of transformers and of MTV's audio pipeline, and what the module promises."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import ORIGINALS, OURS
from safetensors.numpy import load_file

from mtv_jax.io.errors import UserError
from mtv_jax.models.mst_controlnet.model import frame_windows
from mtv_jax.models.wav2vec2 import (
    Wav2Vec2,
    Wav2Vec2Config,
    normalise_waveform,
    num_video_frames,
    pad_as_released,
)
from mtv_jax.models.wav2vec2.model import interpolate_frames
from mtv_jax.weights import wav2vec2 as table
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.rules import to_params, to_state

MTV = ORIGINALS / "mtv"
CASES = sorted(p.stem.removeprefix("case_") for p in (MTV / "audio_features").glob("case_*.safetensors"))


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


def fill(model: Wav2Vec2, state):
    """The parameters of a checkpoint."""
    wave = jnp.zeros((1, model.config.receptive_field))
    shapes = jax.eval_shape(model.init, jax.random.key(0), wave)
    state = Canonical(state, table.ALIASES)
    return to_params(state, table.RULES, shapes, ignored=table.IGNORED)


def load(style: str, **options):
    """A golden case of transformers: its arrays, state dict, module and parameters."""
    with np.load(OURS / "wav2vec2.npz") as file:
        case = {k.removeprefix(f"{style}."): file[k] for k in file if k.startswith(f"{style}.")}
    state = {k.removeprefix("weights."): v for k, v in case.items() if k.startswith("weights.")}
    model = Wav2Vec2(table.config_from_json(json.loads(str(case["config"]))), **options)
    return case, state, model, fill(model, state)


@pytest.mark.parametrize("style", ["base", "large"])
def test_every_hidden_state_agrees_with_transformers(style):
    case, _, model, params = load(style)
    hidden = jax.jit(model.apply)(params, case["waveform"])
    for layer, want in enumerate(case["hidden_states"]):
        assert relative(hidden[:, layer], want) < 1e-5
    last = model.apply(params, hidden, method="last_hidden_state")
    assert relative(last, case["last_hidden_state"]) < 1e-5


@pytest.mark.parametrize("style", ["base", "large"])
def test_scanned_and_unscanned_are_the_same_and_give_back_the_file(style):
    case, state, model, params = load(style)
    _, _, unscanned_model, unscanned = load(style, scan_layers=False)
    with jax.disable_jit():  # compiled, the two are fused differently and differ in the last bit
        want = model.apply(params, case["waveform"], 9)
        np.testing.assert_array_equal(unscanned_model.apply(unscanned, case["waveform"], 9), want)
    canonical = Canonical(state, table.ALIASES)
    for tree in (params, unscanned):
        back = to_state(tree, table.RULES)
        assert set(back) == set(canonical)
        for key, tensor in canonical.items():
            np.testing.assert_array_equal(back[key], tensor)


@pytest.mark.parametrize("style", ["base", "large"])
def test_bfloat16_is_close(style):
    case, _, model, params = load(style, dtype=jnp.bfloat16)
    hidden = jax.jit(model.apply)(params, case["waveform"])
    want = np.moveaxis(case["hidden_states"], 0, 1)
    assert np.abs(hidden - want).max() < 2e-2 * np.abs(want).max()


@pytest.fixture(scope="module")
def mtv():
    """MTV's tiny encoder, its parameters and the bounds given with it."""
    folder = MTV / "audio_features"
    config = table.config_from_json(json.loads((folder / "config.json").read_text()))
    model = Wav2Vec2(config)
    params = fill(model, load_file(folder / "wav2vec2_weights.safetensors"))
    return model, params, json.loads((MTV / "tolerances.json").read_text())


def mtv_waveform(name: str, case, samples: int) -> np.ndarray:
    """Some cases share another's waveform (that of the same first word), or are silent."""
    if "in.waveform" in case:
        return case["in.waveform"]
    if name.startswith("silence"):
        return np.zeros(samples, np.float32)
    for other in CASES:
        arrays = load_file(MTV / "audio_features" / f"case_{other}.safetensors")
        if other.split("_")[0] == name.split("_")[0] and "in.waveform" in arrays:
            return arrays["in.waveform"]
    raise AssertionError(f"no waveform for {name}")


@pytest.mark.parametrize("name", CASES)
def test_mtv_audio_features(mtv, name):
    model, params, tolerances = mtv
    bounds = tolerances["recommended_atol"]
    case = load_file(MTV / "audio_features" / f"case_{name}.safetensors")
    samples = tolerances["audio_features_measured"][name]["samples"]
    fps, clip_length = float(case["meta.fps"][0]), int(case["meta.clip_length"][0])
    waveform = mtv_waveform(name, case, samples)
    x, frames = normalise_waveform(waveform), num_video_frames(len(waveform), fps)
    assert frames == case["meta.frames_before_padding"][0]
    if clip_length > 0:
        x, frames = pad_as_released(x, fps, clip_length)
    if "mid.normalised_padded" in case:
        bound = bounds["audio_features mid.normalised_padded"]
        np.testing.assert_allclose(x, case["mid.normalised_padded"], atol=bound, rtol=0)
    apply = jax.jit(functools.partial(model.apply, num_frames=frames, mutable=["intermediates"]))
    hidden, seen = apply(params, x[None])
    for key in ("conv_features", "interpolated", "projected"):
        if f"mid.{key}" in case:
            assert relative(seen["intermediates"][key][0][0], case[f"mid.{key}"]) < 1e-4
    want = np.moveaxis(case["out.hidden_states"], 0, 1)  # [F, layer, c]; without the input of layer 0
    bound = bounds["audio_features out.hidden_states, out.windows"]
    np.testing.assert_allclose(hidden[0, 1:], want, atol=bound, rtol=0)
    if "out.windows" in case:
        features = jnp.moveaxis(hidden[:, 1:], 1, 2)  # as records keep them: b F L c
        windows = frame_windows(features, case["out.windows"].shape[1])[0]
        np.testing.assert_allclose(windows, case["out.windows"], atol=bound, rtol=0)


def test_interpolation_keeps_the_corners_and_is_linear_between():
    x = jnp.asarray([[[0.0], [2.0], [6.0]]])
    np.testing.assert_allclose(interpolate_frames(x, 5)[0, :, 0], [0, 1, 2, 4, 6])
    np.testing.assert_array_equal(interpolate_frames(x, 3), x)
    np.testing.assert_array_equal(interpolate_frames(x, 1), x[:, :1])


def test_normalisation_has_its_constant_on_the_variance():
    quiet = np.tile(np.float32([1e-4, -1e-4]), 500) + np.float32(0.25)
    out = normalise_waveform(quiet)
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.abs(out), 1e-4 / np.sqrt(1e-8 + 1e-7), rtol=1e-3)
    np.testing.assert_array_equal(normalise_waveform(np.zeros(10)), np.zeros(10, np.float32))


def test_released_padding_rounds_samples_down_and_frames_up_to_whole_clips():
    assert num_video_frames(16_001, 24) == 25
    padded, frames = pad_as_released(np.ones(16_000, np.float32), 24, 49)  # 24 frames, 25 are missing
    assert frames == 49
    assert len(padded) == 16_000 + 25 * 666
    assert padded[16_000:].max() == 0
    whole, frames = pad_as_released(np.ones(16_000 * 49 // 24, np.float32), 24, 49)
    assert (len(whole), frames) == (16_000 * 49 // 24, 49)


def test_too_short_a_sound_is_an_error_that_says_how_short():
    model = Wav2Vec2(Wav2Vec2Config.tiny())
    assert model.config.receptive_field == 400
    with pytest.raises(UserError, match="399 samples: wav2vec2 needs at least 400"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 399)))


def test_variants_have_the_published_sizes_and_survive_their_json():
    def parameters(config):
        shapes = jax.eval_shape(Wav2Vec2(config).init, jax.random.key(0), jnp.zeros((1, 400)))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    assert parameters(Wav2Vec2Config.base_960h()) == 94_371_712
    assert parameters(Wav2Vec2Config.large()) == 315_438_720
    for config in (Wav2Vec2Config.tiny(), Wav2Vec2Config.base_960h(), Wav2Vec2Config.large()):
        assert table.config_from_json(table.config_to_json(config)) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"add_adapter": True}, "add_adapter"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"conv_kernel": [10, 3]}, "conv_kernel"),
        ({"feat_extract_norm": "batch"}, "feat_extract_norm"),
    ],
)
def test_a_config_we_cannot_run_is_an_error_that_names_it(change, words):
    with pytest.raises(UserError, match=words):
        table.config_from_json(table.config_to_json(Wav2Vec2Config.tiny()) | change)


def test_the_older_names_of_the_normalised_weight_are_taken_too():
    _, state, model, params = load("base")
    older = {
        "wav2vec2."
        + key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for key, tensor in state.items()
    }
    again = fill(model, older | {"lm_head.weight": np.zeros((3, 32)), "lm_head.bias": np.zeros(3)})
    jax.tree.map(np.testing.assert_array_equal, again, params)
