"""LR-ASD against golden numbers of torch, as any network of the registry, and as an ActiveSpeaker."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_writer import tensor, write_torch

from mtv_jax import load_model, save_model
from mtv_jax.curation.adapters import lr_asd as adapter
from mtv_jax.curation.adapters.lr_asd import dense_boxes, grey_faces, sound_of
from mtv_jax.curation.roles import ActiveSpeaker, find_model
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video
from mtv_jax.models.lr_asd import LRASD, LRASDConfig
from mtv_jax.weights.lr_asd import load_lr_asd


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "lr_asd.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def checkpoint(golden, tmp_path_factory):
    """A file as the original saves its state."""
    state = {key.removeprefix("weights."): golden[key] for key in golden if key.startswith("weights.")}
    kinds, entries, storages = {"float32": "Float", "int64": "Long"}, {}, {}
    for number, (key, value) in enumerate(state.items()):
        strides = tuple(stride // value.itemsize for stride in value.strides)
        entries[key] = tensor(str(number), kinds[value.dtype.name], value.size, value.shape, strides)
        storages[str(number)] = value.tobytes()
    return write_torch(tmp_path_factory.mktemp("lr_asd") / "small.model", entries, storages)


@pytest.fixture(scope="module")
def network(checkpoint):
    return load_lr_asd(checkpoint)


@pytest.fixture(scope="module")
def apply(network):
    return jax.jit(network[0].apply)


def test_gives_what_the_original_gives_whatever_comes_after_the_end_of_a_track(golden, network, apply):
    model, params = network
    assert model.config == LRASDConfig((4, 6, 8))
    faces = np.pad(golden["faces"], ((0, 0), (0, 3), (0, 0), (0, 0)), constant_values=9)
    cepstra = np.pad(golden["cepstra"], ((0, 0), (0, 12), (0, 0)), constant_values=9)
    found = apply(params, faces, cepstra, np.array([6, 6], np.int32))
    np.testing.assert_allclose(found[:, :6], golden["logits"], atol=2e-6)
    longer = apply(params, faces, cepstra, np.array([6, 9], np.int32))
    np.testing.assert_allclose(longer[0, :6], golden["logits"][0], atol=2e-6)
    assert np.abs(longer[1, :6] - golden["logits"][1]).max() > 1e-4


def test_computes_in_half_precision(golden, network):
    model, params = network
    half = jax.jit(LRASD(model.config, jnp.bfloat16).apply)
    found = half(params, golden["faces"], golden["cepstra"], np.array([6, 6], np.int32))
    assert found.dtype == jnp.float32
    assert 1e-6 < np.abs(found - golden["logits"]).max() < 0.05


def test_is_saved_and_loaded(tmp_path, network):
    model, params = network
    save_model(tmp_path, model, params)
    again, same = load_model(tmp_path)
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


def test_the_sound_of_a_track_is_that_of_python_speech_features(golden):
    """Five frames of pictures have twenty of sound; before the track there may be anything."""
    sound = golden["sound"].astype(np.float32) / 2**15
    before = np.full(2 * 640, 0.5, np.float32)
    found = sound_of(np.concatenate([before, sound]), 2, 5)
    np.testing.assert_allclose(found, golden["sound_cepstra"], atol=1e-4)
    assert sound_of(sound[:640], 0, 3).shape == (12, 13)


def test_faces_are_the_middle_of_the_crop_in_grey():
    """A square of 1.4 half-sizes around a point .4 half-sizes below the face's middle."""
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 255, (1, 300, 300, 1)), 8, 0).astype(np.uint8).repeat(3, -1)
    box = np.array([70.0, 70, 230, 230])  # half a side: 80 pixels
    found = grey_faces(frames, np.tile(box, (8, 1)))
    assert found.shape == (8, 112, 112)
    np.testing.assert_array_equal(found[3], frames[0, 126:238, 94:206, 0])
    beyond = grey_faces(frames, np.tile(box - 100, (8, 1)))
    assert (beyond[3, :, :6] == 110).all()
    assert np.ptp(beyond[3, :, 6]) > 100


def test_boxes_are_in_pixels_between_the_sampled_frames_and_a_little_beyond():
    boxes = [[0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.4, 0.4]]
    track = {"frames": [1, 2], "faces": [{"box": box} for box in boxes]}
    first, found = dense_boxes(track, (12, 100, 200))
    assert (first, len(found)) == (3, 9)
    np.testing.assert_allclose(
        found[[0, 2, 3, 7]], [[20, 20, 60, 40], [20, 20, 60, 40], [24, 20, 64, 40], [40, 20, 80, 40]]
    )


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A clip of 0.6 s with its speech, and the face of the whole of it, and one of a moment."""
    folder, rng = tmp_path_factory.mktemp("talk"), np.random.default_rng(1)
    noise = rng.integers(0, 255, (15, 16, 16, 3)).astype(np.uint8).repeat(4, 1).repeat(4, 2)
    write_video(folder / "clip.mp4", noise, 25)
    write_audio(folder / "speech.wav", rng.normal(0, 0.1, 9_600).astype(np.float32), 16_000)
    face = {"box": [0.2, 0.2, 0.6, 0.6], "score": 1.0, "landmarks": None}
    whole = {"frames": [0, 1, 2], "faces": [face] * 3}
    return folder, {"tracks": [whole, {"frames": [2], "faces": [face]}]}


def test_is_an_active_speaker_by_the_path_of_its_checkpoint(checkpoint, talk):
    folder, persons = talk
    model = find_model("active_speaker", f"lr_asd:{checkpoint}")
    assert isinstance(model, ActiveSpeaker)
    assert (model.card().licence, model.card().fidelity, len(model.card().weights)) == ("MIT", "real", 64)
    found = model.score(folder / "clip.mp4", folder / "speech.wav", persons, {}, [])
    (scores, moment) = found["scores"]
    assert moment == [0.0]  # too short
    assert len(scores) == 3
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) > 1
    assert model.score(folder / "clip.mp4", folder / "speech.wav", {"tracks": []}, {}, [])["scores"] == []


def test_a_score_is_the_mean_around_its_frame(checkpoint, talk, monkeypatch):
    folder, persons = talk
    ramp = np.arange(15, dtype=np.float32)[None] / 25
    monkeypatch.setattr(adapter, "_apply", lambda *inputs: ramp)
    model = adapter.LrAsd(str(checkpoint))
    scores = model.score(folder / "clip.mp4", folder / "speech.wav", persons, {}, [])["scores"][0]
    np.testing.assert_allclose(scores, [1 / 25, 5 / 25, 10 / 25], atol=1e-4)


def test_without_its_checkpoint_it_says_how_to_get_it(tmp_path, goldens):
    with pytest.raises(UserError, match=r"finetuning_TalkSet\.model.*config\.active_speaker=lr_asd:FILE"):
        adapter.LrAsd()
    with pytest.raises(UserError, match="no such file"):
        adapter.LrAsd(str(tmp_path / "none.model"))
    with pytest.raises(UserError, match="no checkpoint of LR-ASD"):
        load_lr_asd(goldens / "torch.pt")


def test_widths_are_three_and_even():
    for widths in ((4, 6), (4, 6, 7)):
        with pytest.raises(UserError, match="must be 3 even widths"):
            LRASDConfig(widths)
