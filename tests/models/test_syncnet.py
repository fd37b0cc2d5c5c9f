"""SyncNet against numbers of the original (`goldens/syncnet`), its MFCC and frames, and as a network."""

import functools
import json
from dataclasses import replace
from itertools import zip_longest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import ORIGINALS
from safetensors.numpy import load_file

from mtv_jax import convert, load_model
from mtv_jax.evaluation import syncnet
from mtv_jax.io.errors import UserError
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.syncnet import SyncNet, SyncNetConfig
from mtv_jax.models.syncnet.preprocessing import (
    audio_windows,
    mel_filters,
    mfcc,
    nearest_frames,
    num_windows,
    power_spectrum,
    to_int16,
    video_input,
)
from mtv_jax.weights.rules import to_params, to_state
from mtv_jax.weights.syncnet import IGNORED, RULES
from tests.torch_writer import tensor, write_torch

FOLDER = ORIGINALS / "syncnet"
STAGES = {"stage3": "pool_0", "stage7": "pool_1", "stage17": "pool_4"}
"""Of the towers, by their names in the goldens and here."""

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no goldens of SyncNet in {FOLDER.parent}")


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "io.npz") as file:
        return dict(file)


def load(name: str, state):
    sizes = json.loads((FOLDER / "config.json").read_text())[f"{name}_config"]
    narrow = {int(old): new for old, new in sizes["widths_replacement"].items()}
    wide = SyncNetConfig.syncnet_v2()
    config = SyncNetConfig(
        tuple(narrow[width] for width in wide.audio_widths),
        tuple(narrow[width] for width in wide.video_widths),
        sizes["num_layers_in_fc_layers"],
    )
    model = SyncNet(config)
    return model, to_params(state, RULES, parameter_shapes(model), ignored=IGNORED)


@pytest.fixture(scope="module")
def state():
    return load_file(FOLDER / "weights_tiny.safetensors")


@pytest.fixture(scope="module")
def network(state):
    return load("tiny", state)


def pictures(golden, count: int | None = None) -> np.ndarray:
    return np.moveaxis(golden["lip.input_uint8"][:count], 1, -1).astype(np.float32)


def check(found, golden, name: str, bound: float = 1e-4):
    expected = golden[name]
    assert found.shape == expected.shape, name
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound * np.abs(expected).max(), err_msg=name)


def test_cepstra_are_those_of_the_original(golden):
    sound = golden["mfcc.waveform_int16"]
    power = power_spectrum(sound)
    np.testing.assert_array_equal(mel_filters(), golden["mfcc.filterbank_26x257_f64"])
    np.testing.assert_allclose(power @ mel_filters().T, golden["mfcc.fbank_energies_f64"], rtol=1e-9)
    np.testing.assert_allclose(power.sum(1), golden["mfcc.energy_f64"], rtol=1e-9)
    np.testing.assert_allclose(mfcc(sound), golden["mfcc.output_f64"], rtol=1e-6)
    windows = audio_windows(mfcc(sound), len(golden["aud.input_mfcc_windows"]))
    np.testing.assert_allclose(windows, golden["aud.input_mfcc_windows"][:, 0], rtol=1e-6)


def test_every_layer_agrees_with_the_original(golden, network):
    model, params = network

    @functools.partial(jax.jit, static_argnums=0)
    def run(name, inputs):
        def both(module, x):
            tower = module.audio_tower if name == "aud" else module.video_tower
            return tower(x)

        return model.apply(params, inputs, method=both, mutable=["intermediates"])

    sounds = np.concatenate([golden["aud.input_random"], golden["aud.input_mfcc_windows"]])[:, 0]
    first = len(golden["aud.input_random"])
    audio, seen = run("aud", sounds)
    check(audio[:first], golden, "tiny.aud_out_random")
    check(audio[first:], golden, "tiny.aud_out_mfcc_windows")
    for stage in ("stage7", "stage17"):
        kept = seen["intermediates"]["audio_tower"][STAGES[stage]][0]
        check(np.moveaxis(kept, -1, 1)[:first], golden, f"tiny.aud_{stage}")
    (video, features), seen = run("lip", pictures(golden))
    check(video[:, 0], golden, "tiny.lip_out")
    check(features[:, 0], golden, "tiny.lipfeat_out")
    for stage, name in STAGES.items():
        kept = seen["intermediates"]["video_tower"][name][0]
        check(np.moveaxis(kept, -1, 1)[:1], golden, f"tiny.lip_{stage}")


def test_a_clip_is_embedded_at_once(golden, network, monkeypatch):
    """Six RGB frames give two embeddings; the second is that of the five last, one of the original's clips."""
    monkeypatch.setattr(syncnet, "BATCH", 2)
    clip = np.concatenate(np.moveaxis(golden["lip.input_uint8"], 1, -1))[4:, ..., ::-1]
    found = syncnet.embed_video(clip, syncnet.towers(*network))
    assert found.shape == (2, network[0].config.embedding)
    check(found[1:], {"second": golden["tiny.lip_out"][1:]}, "second")


@pytest.mark.slow
def test_the_released_size_agrees_with_the_original(golden):
    model = SyncNet(SyncNetConfig.syncnet_v2())
    params = to_params(released(), RULES, parameter_shapes(model), ignored=IGNORED)
    audio = jax.jit(functools.partial(model.apply, method="audio"))
    for name in ("random", "mfcc_windows"):
        check(audio(params, golden[f"aud.input_{name}"][:, 0]), golden, f"full.aud_out_{name}", 1e-3)
    (video, features) = jax.jit(
        lambda x: model.apply(params, x, method=lambda module, x: module.video_tower(x))
    )(pictures(golden, 1))
    check(video[:, 0], golden, "full.lip_out", 1e-3)
    check(features[:, 0], golden, "full.lipfeat_out", 1e-3)


def released() -> dict[str, np.ndarray]:
    """The weights of the full size, by the recipe in the goldens' README; the sums are checked."""
    recipe = json.loads((FOLDER / "recipe_full_checksums.json").read_text())
    found = {}
    for key, row in recipe.items():
        found[key] = array = drawn(key, row["shape"], np.random.default_rng([3104, row["index"]]))
        sums = array.astype(np.float64).sum(), np.square(array.astype(np.float64)).sum()
        np.testing.assert_allclose(sums, (row["sum"], row["sumsq"]), rtol=1e-6, atol=1e-6, err_msg=key)
    return found


def drawn(key: str, shape: list[int], random: np.random.Generator) -> np.ndarray:
    tower, layer, leaf = key.split(".")
    if leaf == "running_var":
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    numbers = random.standard_normal(shape)
    if leaf == "weight" and len(shape) > 1:
        first = {"netcnnlip.0": 1 / 100, "netcnnaud.0": 1 / 10}.get(f"{tower}.{layer}", 1)
        return (numbers * np.sqrt(2) / np.sqrt(np.prod(shape[1:])) * first).astype(np.float32)
    norms = ("netfc", "1") if tower.startswith("netfc") else ("netcnn", "1", "5", "9", "12", "15", "19")
    base = 1.0 if leaf == "weight" and layer in norms else 0.0
    return (base + 0.1 * numbers).astype(np.float32)


def test_bfloat16_is_close(golden, network):
    model, params = network
    half = SyncNet(model.config, jnp.bfloat16)
    found = jax.jit(functools.partial(half.apply, method="audio"))(params, golden["aud.input_random"][:, 0])
    expected = golden["tiny.aud_out_random"]
    assert found.dtype == jnp.float32
    assert 1e-6 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < 2e-2


def test_the_original_file_is_converted(tmp_path, state, network, monkeypatch):
    """`syncnet_v2.model` is a torch file of a state dict."""
    monkeypatch.setattr(SyncNetConfig, "syncnet_v2", lambda: network[0].config)
    kinds = {np.dtype("float32"): "Float", np.dtype("int64"): "Long"}
    content, storages = {}, {}
    for key, array in state.items():
        strides = tuple(stride // array.itemsize for stride in array.strides)
        content[key] = tensor(key, kinds[array.dtype], array.size, array.shape, strides)
        storages[key] = array.tobytes()
    path = write_torch(tmp_path / "syncnet_v2.model", content, storages)
    convert.main(["--from", "syncnet", "--in", str(path), "--out", str(tmp_path / "folder")])
    model, params = load_model(tmp_path / "folder")
    assert model == network[0]
    jax.tree.map(np.testing.assert_array_equal, params, network[1])
    back = to_state(params, RULES)
    assert set(back) == {key for key in state if not key.endswith("num_batches_tracked")}
    for key, array in back.items():
        np.testing.assert_array_equal(array, state[key])
    del content["netcnnaud.0.bias"]
    write_torch(path, content, storages)
    with pytest.raises(UserError, match=r"syncnet_v2\.model: .*netcnnaud\.0\.bias"):
        convert.main(["--from", "syncnet", "--in", str(path), "--out", str(tmp_path / "other")])


def test_the_tiny_variant_is_small_and_other_numbers_of_widths_are_refused():
    tiny = SyncNetConfig.tiny()
    assert sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes(SyncNet(tiny)))) < 10_000
    with pytest.raises(UserError, match=r"audio_widths \[3, 4\]: must be 6 widths"):
        replace(tiny, audio_widths=(3, 4))


def test_sound_is_rounded_to_16_bits_and_clipped():
    found = to_int16(np.array([0, 0.5, 1, -1, 2, -2, 1.6 / 2**15, -0.4 / 2**15], np.float32))
    np.testing.assert_array_equal(found, [0, 2**14, 2**15 - 1, -(2**15), 2**15 - 1, -(2**15), 2, 0])


def test_silence_and_a_short_sound_have_cepstra():
    silent = mfcc(np.zeros(400, np.int16))
    assert silent.shape == (1, 13)
    np.testing.assert_allclose(silent[0, 0], np.log(np.finfo(float).eps))
    np.testing.assert_allclose(silent[0, 1:], 0, atol=1e-9)
    assert mfcc(np.ones(7, np.int16)).shape == (1, 13)


def test_windows_begin_with_every_fourth_frame_of_sound():
    cepstra = np.arange(28)[:, None] * np.ones(13)
    windows = audio_windows(cepstra, 3)
    np.testing.assert_array_equal(windows[:, 0, 0], [0, 4, 8])
    np.testing.assert_array_equal(windows[2, 5], np.arange(8, 28))
    with pytest.raises(ValueError, match="4 windows need 32 frames of sound, there are 28"):
        audio_windows(cepstra, 4)


def test_positions_are_five_fewer_than_frames_that_have_sound():
    assert num_windows(51, 100_000) == 46
    assert num_windows(51, 20 * 640 + 639) == 15
    assert num_windows(4, 100_000) == 0


def test_pictures_are_blue_green_red():
    np.testing.assert_array_equal(video_input(np.array([[[[1, 2, 255]]]], np.uint8)), [[[[255, 2, 1]]]])


def test_frames_are_taken_that_are_nearest_in_time():
    """49 frames at 24 a second last 51 at 25; frames of a variable rate are chosen by their times."""
    chosen = nearest_frames(np.arange(49) / 24, 49 / 24)
    expected = [round(i / 25 * 24 - 1e-6) for i in range(51)]
    np.testing.assert_array_equal(chosen, np.minimum(expected, 48))
    np.testing.assert_array_equal(nearest_frames(np.arange(5) / 25, 0.2), range(5))
    times = np.array([0, 0.01, 0.09, 0.5])
    np.testing.assert_array_equal(nearest_frames(times, 0.6, 10), [0, 2, 2, 3, 3, 3])
    np.testing.assert_array_equal(nearest_frames(np.array([0.0]), 0.08), [0, 0])
    ties = nearest_frames(np.arange(4) * 0.08, 0.32)
    np.testing.assert_array_equal(ties, [0, 0, 1, 1, 2, 2, 3, 3])


def test_every_width_of_the_goldens_is_known():
    sizes = json.loads((FOLDER / "config.json").read_text())["tiny_config"]["widths_replacement"]
    wide = SyncNetConfig.syncnet_v2()
    assert {
        str(width) for pair in zip_longest(wide.audio_widths, wide.video_widths) for width in pair
    } == set(sizes)
