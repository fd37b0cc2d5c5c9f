"""VideoCLIP-XL against the original's numbers, and what the module promises."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import ORIGINALS
from safetensors.numpy import load_file
from torch_writer import tensor, write_torch

from mtv_jax import load_model
from mtv_jax.convert import main as convert
from mtv_jax.io.errors import UserError
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.videoclip_xl import VideoCLIPXL, VideoCLIPXLConfig, choose_frames, video_pixels
from mtv_jax.models.videoclip_xl.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalise, squash
from mtv_jax.weights import videoclip_xl as table
from mtv_jax.weights.rules import to_params, to_state

FOLDER = ORIGINALS / "videoclip_xl"
CLOSE: Any = {"rtol": 1e-4, "atol": 1e-4}  # the goldens' README


def fill(model: VideoCLIPXL, state):
    """The parameters of a checkpoint."""
    return to_params(state, table.RULES, parameter_shapes(model), ignored=table.IGNORED)


@pytest.fixture(scope="module")
def values():
    if not FOLDER.is_dir():
        pytest.skip("MTV_JAX_GOLDENS has no videoclip_xl/")
    return json.loads((FOLDER / "config.json").read_text())


@pytest.fixture(scope="module")
def golden(values):
    state = load_file(FOLDER / "weights.safetensors")
    model = VideoCLIPXL(table.config_from_json({key: values[key] for key in ("vision", "text")}))
    with np.load(FOLDER / "io.npz") as file:
        arrays = dict(file)
    return model, fill(model, state), state, arrays


@pytest.fixture(scope="module")
def pixels(golden):
    frames = np.moveaxis(golden[3]["video_uint8"], 2, -1)
    return np.stack([normalise(video, IMAGENET_MEAN, IMAGENET_STD) for video in frames])


def test_every_layer_agrees_with_the_original(golden, pixels):
    model, params, _, arrays = golden
    apply = functools.partial(model.apply, mutable=["intermediates"], capture_intermediates=is_projection)
    similarity, seen = jax.jit(apply)(params, pixels, arrays["token_ids"])
    np.testing.assert_allclose(similarity, arrays["similarity_x100"], rtol=0, atol=1e-2)
    seen = seen["intermediates"]
    vision, text = seen["vision"], seen["text"]
    found = {
        "vision.ln_pre": vision["pre_norm_out"][0],
        "vision.ln_post": vision["post_norm_out"][0],
        "text.ln_final": text["normed"][0],
        "video_features": seen["vision_projection"]["__call__"][0],
        "text_features": seen["text_projection"]["__call__"][0],
    }
    found |= {f"vision.block{i}": output for i, output in enumerate(vision["blocks"]["output"][0])}
    found |= {f"text.block{i}": output for i, output in enumerate(text["blocks"]["output"][0])}
    assert {name for name in arrays if name.startswith(("vision.", "text."))} <= set(found)
    for name, output in found.items():
        np.testing.assert_allclose(output, arrays[name], err_msg=name, **CLOSE)


def is_projection(module, method) -> bool:
    return module.name in ("vision_projection", "text_projection")


def test_a_picture_is_a_video_of_one_frame(golden, pixels):
    model, params, _, arrays = golden
    features = functools.partial(model.apply, method="video_features")
    both = jax.jit(lambda params, pixels: (features(params, pixels[:, 0]), features(params, pixels[:, :1])))
    picture, video = both(params, pixels)
    np.testing.assert_allclose(picture, arrays["image_features_4d"], **CLOSE)
    np.testing.assert_allclose(video, arrays["video_features_T1_5d"], **CLOSE)


def test_scanned_and_unscanned_give_back_the_file(golden):
    model, params, state, _ = golden
    for tree in (params, fill(VideoCLIPXL(model.config, scan_layers=False), state)):
        back = to_state(tree, table.RULES)
        assert set(state) - set(back) == {"text_model.logit_scale", "vision_model.temp"}
        for key, found in back.items():
            np.testing.assert_array_equal(found, state[key], err_msg=key)


def test_bfloat16_is_close(golden, pixels):
    model, params, _, arrays = golden
    half = VideoCLIPXL(model.config, dtype=jnp.bfloat16)

    def features(params, pixels, tokens):
        videos = half.apply(params, pixels, method="video_features")
        return videos, half.apply(params, tokens, method="text_features")

    found = jax.jit(features)(params, pixels, arrays["token_ids"])
    for features, name in zip(found, ("video_features", "text_features"), strict=True):
        want = arrays[name]
        assert features.dtype == jnp.float32
        assert 1e-4 < np.sqrt(((features - want) ** 2).mean() / (want**2).mean()) < 2e-2, name


def test_frames_are_chosen_as_in_the_original(values):
    for length, indices in values["frame_indices_fnum8"].items():
        assert choose_frames(int(length), 8) == indices, length
    assert choose_frames(3, 8) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert choose_frames(1, 8) == [0] * 8
    with pytest.raises(UserError, match="without frames"):
        choose_frames(0, 8)


def test_frames_are_squashed_as_in_the_original(golden):
    pytest.importorskip("cv2")
    arrays = golden[3]
    frame = arrays["cv2.frame_bgr_uint8"][None, ..., ::-1]
    want = arrays["cv2.resized_rgb_uint8"]
    assert np.abs(squash(frame, len(want))[0].astype(int) - want).max() <= 1
    large = squash(frame, 224)[0].astype(int)
    assert np.abs(large[96:128, 96:128] - arrays["cv2.resized_rgb_224_crop32"]).max() <= 1
    sums = arrays["cv2.resized_rgb_224_sum_per_channel"]
    assert np.abs(large.sum((0, 1)) - sums).max() < 0.1 * 224**2
    video = np.repeat(frame, 3, axis=0)
    found = video_pixels(video)
    assert found.shape == (8, 224, 224, 3)
    want = (large / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(found[5], want, atol=1e-6)


def test_statistics_are_those_of_imagenet(values):
    assert list(IMAGENET_MEAN) == values["preprocess"]["mean"]
    assert list(IMAGENET_STD) == values["preprocess"]["std"]


@pytest.mark.parametrize("frames", [2, 9])
def test_another_number_of_frames_is_refused(frames):
    model = VideoCLIPXL(VideoCLIPXLConfig.tiny())
    with pytest.raises(UserError, match=f"video of {frames} frames: this network takes 4, or one"):
        jax.eval_shape(
            functools.partial(model.apply, method="video_features"),
            parameter_shapes(model),
            jax.ShapeDtypeStruct((1, frames, 28, 28, 3), jnp.float32),
        )


def write_original(path, state) -> None:
    """A file of torch's with all tensors."""
    keys = {key: (str(i), array) for i, (key, array) in enumerate(state.items())}
    content = {
        key: tensor(name, "Float", array.size, array.shape, tuple(s // 4 for s in array.strides))
        for key, (name, array) in keys.items()
    }
    write_torch(path, content, {name: array.tobytes() for name, array in keys.values()})


def test_the_originals_file_is_converted(golden, tmp_path):
    model, params, state, _ = golden
    (tmp_path / "VideoCLIP-XL").mkdir()
    write_original(tmp_path / "VideoCLIP-XL/VideoCLIP-XL.bin", state)
    arguments = [
        "--from",
        "videoclip-xl",
        "--in",
        str(tmp_path / "VideoCLIP-XL/VideoCLIP-XL.bin"),
        "--out",
        str(tmp_path / "ours"),
    ]
    with pytest.raises(UserError, match=r"VideoCLIP-XL\.bin: missing tensors: "):
        convert(arguments)  # the released sizes are expected
    json_config = json.dumps(table.config_to_json(model.config))
    (tmp_path / "VideoCLIP-XL/config.json").write_text(json_config)
    convert(arguments)
    again, same = load_model(tmp_path / "ours")
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


def test_configs_survive_their_file_and_what_is_unsupported_is_named():
    for config in (VideoCLIPXLConfig.tiny(), VideoCLIPXLConfig.xl()):
        values = table.config_to_json(config)
        assert table.config_from_json(values) == config
    with pytest.raises(UserError, match="kernel_size = 2 is not supported"):
        table.config_from_json({**values, "vision": {**values["vision"], "kernel_size": 2}})
    with pytest.raises(UserError, match=r"output_dim 768 and text\.embed_dim 512 must be equal"):
        table.config_from_json({**values, "text": {**values["text"], "embed_dim": 512}})
    text = {key: value for key, value in values["text"].items() if key != "heads"}
    with pytest.raises(UserError, match="keys missing: heads"):
        table.config_from_json({**values, "text": text})
