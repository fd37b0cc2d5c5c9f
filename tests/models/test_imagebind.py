"""ImageBind against the original's numbers, and what the module promises."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_folders import ORIGINALS
from safetensors.numpy import load_file
from torch_writer import write_tensors

from mtv_jax import load_model
from mtv_jax.convert import main as convert
from mtv_jax.io.errors import UserError
from mtv_jax.models.clip.preprocessing import CLIP_MEAN, CLIP_STD, normalise
from mtv_jax.models.imagebind import ImageBind, ImageBindAudio, ImageBindConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import imagebind as table
from mtv_jax.weights import imagebind_audio as audio_table
from mtv_jax.weights.rules import to_params, to_state

FOLDER = ORIGINALS / "imagebind"
CLOSE: Any = {"rtol": 1e-4, "atol": 1e-4}  # the goldens' README
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="MTV_JAX_GOLDENS has no imagebind/")

RUNS = {
    "vision_image": ("encode_vision", "vision"),
    "vision_video": ("encode_vision", "vision"),
    "text": ("encode_text", "text"),
    "audio": ("encode_audio", "audio"),
}
"""Name of a run of the golden -> method and part of the network."""


def config_values() -> dict[str, Any]:
    """The original's arguments, and the constants that were changed."""
    values = json.loads((FOLDER / "config.json").read_text())
    audio = {key: values["audio"][name] for key, name in AUDIO_SIZES.items()}
    texts = {key: values[key] for key in ("text_vocab_size", "text_context_length")}
    return values["model_kwargs"] | audio | texts


AUDIO_SIZES = {"audio_num_mel_bins": "num_mel_bins", "audio_target_len": "target_length"}


def fill(model: ImageBind, state):
    """The parameters of a checkpoint."""
    return to_params(state, table.RULES, parameter_shapes(model), ignored=table.IGNORED)


@pytest.fixture(scope="module")
def golden():
    state = load_file(FOLDER / "weights.safetensors")
    model = ImageBind(table.config_from_json(config_values()))
    with np.load(FOLDER / "io.npz") as file:
        arrays = dict(file)
    return model, fill(model, state), state, arrays


@pytest.fixture(scope="module")
def inputs(golden):
    """What each run gets, as one batch."""
    arrays = golden[3]
    pictures, video = arrays["vision.image_uint8"], arrays["vision.video_uint8"]
    frames = np.moveaxis(video, 3, 2).reshape(-1, *video.shape[2:3], *video.shape[4:])
    clips = normalise(np.moveaxis(frames, 1, -1), CLIP_MEAN, CLIP_STD)
    mel = arrays["audio.input_mel_normalized"][:, :, 0]
    return {
        "vision_image": normalise(np.moveaxis(pictures, 1, -1), CLIP_MEAN, CLIP_STD)[:, None],
        "vision_video": clips.reshape(-1, video.shape[3], *clips.shape[1:]),
        "text": arrays["text.token_ids"].astype(np.int32),
        "audio": mel.reshape(-1, *mel.shape[2:]),
    }


@pytest.fixture(scope="module")
def outputs(golden, inputs):
    """Of each run the encoding, and what was recorded on the way."""
    model, params, _, _ = golden
    found = {}
    for name, (method, part) in RUNS.items():
        apply = jax.jit(functools.partial(model.apply, method=method, mutable=["intermediates"]))
        encoding, seen = apply(params, inputs[name])
        found[name] = encoding, seen["intermediates"][part]
    return found


@pytest.mark.parametrize("name", RUNS)
def test_every_layer_agrees_with_the_original(golden, outputs, name):
    arrays, (encoding, seen) = golden[3], outputs[name]
    parts = {
        "trunk_in": seen["trunk_in"][0],
        "trunk_out": encoding.tokens,
        "head_out": encoding.projected,
        "post_out": encoding.embedding,
    }
    parts |= {f"block{i}": layer for i, layer in enumerate(seen["blocks"]["output"][0])}
    compared = 0
    for part, value in parts.items():
        want = arrays.get(f"{name}.{part}")
        if want is not None:
            np.testing.assert_allclose(value[: len(want)], want, err_msg=part, **CLOSE)
            compared += 1
    of_embeddings = compared == 2 and name == "vision_video"
    assert of_embeddings or compared == len(parts)


@pytest.mark.parametrize("name", RUNS)
def test_embeddings_of_clips_are_averaged(golden, outputs, name):
    want = golden[3][f"{name}.embedding"]
    found = np.asarray(outputs[name][0].embedding)
    found = found.reshape(len(want), -1, found.shape[-1]).mean(1)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4 * np.abs(want).max())


def test_there_is_a_token_for_each_patch_beside_the_class_token(golden, outputs):
    config = golden[0].config
    assert outputs["audio"][0].tokens.shape[1:] == (config.audio_tokens, config.audio.width)
    assert (ImageBindConfig.huge().audio_tokens, ImageBindConfig.huge().vision_tokens) == (229, 257)


def test_unscanned_layers_give_the_same_and_the_file_back(golden, inputs, outputs):
    model, params, state, _ = golden
    unscanned_model = ImageBind(model.config, scan_layers=False)
    unscanned = fill(unscanned_model, state)
    for tree in (params, unscanned):
        back = to_state(tree, table.RULES)
        assert set(state) - set(back) == {"modality_preprocessors.text.mask"}
        for key, found in back.items():
            np.testing.assert_array_equal(found, state[key], err_msg=key)
    apply = jax.jit(functools.partial(unscanned_model.apply, method="encode_text"))
    found = apply(unscanned, inputs["text"])
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), found, outputs["text"][0])


def test_bfloat16_is_close(golden, inputs, outputs):
    model, params, _, _ = golden
    half = ImageBind(model.config, dtype=jnp.bfloat16)
    names = ("vision_image", "text", "audio")
    found = jax.jit(half.apply)(params, *(inputs[name][:1] for name in names))
    for name, encoding in zip(names, found, strict=True):
        want = outputs[name][0].embedding[:1]
        assert encoding.embedding.dtype == jnp.float32
        assert 1e-4 < np.sqrt(((encoding.embedding - want) ** 2).mean() / (want**2).mean()) < 2e-2, name


def test_a_scale_is_at_most_100(golden, inputs):
    model, params, _, _ = golden
    large = params["params"]["text"] | {"log_scale": np.float32(9)}
    params = {"params": params["params"] | {"text": large}}
    found = jax.jit(functools.partial(model.apply, method="encode_text"))(params, inputs["text"]).embedding
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 100, rtol=1e-5)


@pytest.mark.parametrize(("name", "epsilon"), [("head_norm", 1e-6), ("patch_norm", 1e-5)])
def test_norms_have_the_epsilon_of_the_original(golden, name, epsilon):
    """Which the goldens' large activations do not show."""
    model, params, _, _ = golden
    norm, token = (
        params["params"]["audio"][name],
        np.float32(1e-3) * (-1) ** np.arange(model.config.audio.width),
    )
    found = model.apply(params, token, method=lambda module, x: getattr(module.audio, name)(x))
    want = token / np.sqrt(1e-6 + epsilon) * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(found, want, rtol=1e-4)


def write_original(path, state) -> None:
    """A file of torch's with all tensors, and some of the modalities that are not loaded."""
    others = {f"modality_trunks.{name}.blocks.0.norm_1.weight": np.ones(8, "f4") for name in table.DROPPED}
    others |= {
        f"modality_postprocessors.{name}.1.log_logit_scale": np.ones((), "f4") for name in table.DROPPED
    }
    write_tensors(path, state | others)


def test_the_originals_file_is_converted(golden, tmp_path):
    model, params, state, _ = golden
    file = tmp_path / "theirs" / "imagebind_huge.pth"
    file.parent.mkdir()
    write_original(file, state)
    arguments = ["--from", "imagebind", "--in", str(file), "--out", str(tmp_path / "ours")]
    with pytest.raises(UserError, match=r"missing tensors: .*modality_trunks"):
        convert(arguments)  # of the released sizes
    (file.parent / "config.json").write_text(json.dumps(config_values()))
    convert(arguments)
    again, same = load_model(tmp_path / "ours")
    assert again == model
    jax.tree.map(np.testing.assert_array_equal, params, same)


def test_the_network_for_sounds_alone_is_a_part_of_the_whole(golden, outputs, tmp_path):
    _, params, state, arrays = golden
    alone = ImageBindAudio(audio_table.config_from_json(audio_values()))
    own = to_params(state, audio_table.RULES, parameter_shapes(alone), ignored=audio_table.IGNORED)
    jax.tree.map(np.testing.assert_array_equal, own, {"params": {"audio": params["params"]["audio"]}})
    mel = arrays["audio.input_mel_normalized"][:, :, 0]
    found = jax.jit(alone.apply)(own, mel.reshape(-1, *mel.shape[2:]))
    np.testing.assert_allclose(found.tokens, outputs["audio"][0].tokens, **CLOSE)
    file = tmp_path / "imagebind_huge.pth"
    write_original(file, state)
    (tmp_path / "config.json").write_text(json.dumps(config_values()))
    opened, leaves = audio_table.open_imagebind_audio(file, lambda path, leaf: np.asarray(leaf))
    assert opened == alone
    jax.tree.map(np.testing.assert_array_equal, own, leaves)


def audio_values() -> dict[str, Any]:
    """The original's arguments that the network for sounds has."""
    kept = ("audio_", "out_embed_dim")
    return {key: value for key, value in config_values().items() if key.startswith(kept)}


def test_configs_survive_their_file_and_what_is_unsupported_is_named():
    for config in (ImageBindConfig.tiny(), ImageBindConfig.huge()):
        values = json.loads(json.dumps(table.config_to_json(config)))
        assert table.config_from_json(values) == config
    with pytest.raises(UserError, match="unknown keys use_checkpoint"):
        table.config_from_json(config_values() | {"use_checkpoint": True})
    with pytest.raises(UserError, match="width 33: must be divisible by 4 heads"):
        table.config_from_json(config_values() | {"vision_embed_dim": 33, "vision_num_heads": 4})


@pytest.mark.parametrize(
    ("method", "shape", "message"),
    [
        (
            "encode_vision",
            (1, 3, 8, 8, 3),
            "clips of 3 frames of 8 x 8 pixels: this network takes one frame or 2",
        ),
        ("encode_vision", (1, 2, 8, 16, 3), "of 16 x 8 pixels"),
        ("encode_audio", (1, 128, 198), r"spectrogram of \(128, 198\): this network takes \(128, 204\)"),
        ("encode_text", (1, 11), "text of 11 tokens: this network takes 12"),
    ],
)
def test_inputs_of_another_size_are_refused(method, shape, message):
    model = ImageBind(ImageBindConfig.tiny())
    kind = jnp.int32 if method == "encode_text" else jnp.float32
    with pytest.raises(UserError, match=message):
        jax.eval_shape(
            functools.partial(model.apply, method=method),
            parameter_shapes(model),
            jax.ShapeDtypeStruct(shape, kind),
        )
