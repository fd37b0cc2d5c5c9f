"""LAION's files become networks of transformers' form, tensor by tensor."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

from mtv_jax.convert import main
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json
from mtv_jax.weights import clap
from tests.torch_writer import Build, Call, Global, tensor, write_torch

NAMES = {
    r"^text_model\.": "text_branch.",
    r"^audio_model\.audio_encoder\.": "audio_branch.",
    r"_projection\.linear1\.": "_projection.0.",
    r"_projection\.linear2\.": "_projection.2.",
    r"^(audio_branch)\.batch_norm\.": r"\1.bn0.",
    r"^(audio.*)\.layernorm_before\.": r"\1.norm1.",
    r"^(audio.*)\.layernorm_after\.": r"\1.norm2.",
    r"^(audio.*)\.attention\.output\.dense\.": r"\1.attn.proj.",
    r"^(audio.*)\.attention\.self\.": r"\1.attn.",
    r"^(audio.*)\.intermediate\.dense\.": r"\1.mlp.fc1.",
    r"^(audio.*)\.output\.dense\.": r"\1.mlp.fc2.",
}
"""From transformers' names to LAION's."""
UNUSED = {
    "audio_branch.tscam_conv.weight": (2, 2),
    "audio_branch.head.bias": (2,),
    "audio_branch.logmel_extractor.melW": (3, 2),
    "audio_branch.spectrogram_extractor.stft.conv_real.weight": (2, 1),
    "audio_branch.layers.0.blocks.1.attn_mask": (4, 2),
    "audio_transform.sequential.0.weight": (2, 2),
    "text_transform.sequential.3.bias": (2,),
}
LOSS = Call(
    Global("numpy.core.multiarray", "scalar"),
    (
        Build(Call(Global("numpy", "dtype"), ("f8", False, True)), (3, "<", None, None, None, -1, -1, 0)),
        Call(Global("_codecs", "encode"), (np.float64(0.5).tobytes().decode("latin1"), "latin1")),
    ),
)
"""A number of numpy's, as LAION's files hold one beside the weights."""


def original(goldens, case):
    """Golden tensors under transformers' names."""
    with np.load(goldens / "clap.npz") as file:
        prefix = f"{case}.weights."
        return {key.removeprefix(prefix): file[key] for key in file if key.startswith(prefix)}


def laion_names(state):
    """The same tensors under LAION's names, queries, keys and values in one."""
    found = {}
    for key, value in state.items():
        for pattern, name in NAMES.items():
            key = re.sub(pattern, name, key)
        found[key] = value
    for key in [key for key in found if ".attn.query." in key]:
        parts = [found.pop(key.replace("query", name)) for name in ("query", "key", "value")]
        found[key.replace("query", "qkv")] = np.concatenate(parts)
    return found | {key: np.zeros(shape, np.float32) for key, shape in UNUSED.items()}


def write_laion(path, tensors):
    """A file of LAION's training, with the state of its optimiser."""
    storages, entries = {}, {}
    for number, (key, value) in enumerate(tensors.items()):
        kind = "Long" if value.dtype == np.int64 else "Float"
        strides = tuple(size // value.itemsize for size in value.strides)
        storages[str(number)] = np.ascontiguousarray(value).tobytes()
        entries[f"module.{key}"] = tensor(str(number), kind, value.size, value.shape, strides)
    content = {"epoch": 3, "name": "x", "loss": LOSS, "state_dict": entries}
    write_torch(path, content | {"optimizer": {"state": {0: dict(list(entries.items())[:1])}}}, storages)


@pytest.mark.parametrize("case", ["unfused", "fused"])
def test_convert_gives_the_network_of_a_file(goldens, tmp_path, case):
    state = original(goldens, case)
    write_laion(tmp_path / "clap.pt", laion_names(state))
    main(["--from", "clap", "--in", str(tmp_path / "clap.pt"), "--out", str(tmp_path / "out")])
    found = load_file(tmp_path / "out/model.safetensors")
    for key, value in found.items():
        np.testing.assert_array_equal(value, state[key], err_msg=key)
    assert not [key for key in set(state) - set(found) if not re.search("position_i|type_ids|tracked", key)]
    config = clap.config_from_json(read_json(tmp_path / "out/config.json"))
    with np.load(goldens / "clap.npz") as file:
        want = clap.config_from_json(json.loads(str(file[f"{case}.config"])))
    for name in ("num_mel_bins", "patch_size", "depths", "num_attention_heads", "window_size", "mlp_ratio"):
        assert getattr(config.audio, name) == getattr(want.audio, name), name
    assert config.audio.enable_fusion == (case == "fused")
    assert config.audio.spec_size == 256
    assert config.text.layer_norm_eps == 1e-5
    assert config.text.projection_dim == want.text.projection_dim


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("text_branch.embeddings", "no text_model.embeddings.word_embeddings.weight"),
        ("audio_branch.patch_embed", "no audio_model.audio_encoder.patch_embed.proj.weight"),
        ("audio_branch.norm", "missing tensors: audio_model.audio_encoder.norm.bias"),
    ],
)
def test_a_file_of_another_network_is_named(goldens, tmp_path, removed, message):
    tensors = laion_names(original(goldens, "unfused"))
    write_laion(tmp_path / "a.pt", {k: v for k, v in tensors.items() if not k.startswith(removed)})
    with pytest.raises(UserError, match=rf"a\.pt: .*{message}"):
        main(["--from", "clap", "--in", str(tmp_path / "a.pt"), "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("text_branch.embeddings.word_embeddings.weight", (5,)),
        ("text_projection.2.weight", ()),
        ("audio_branch.patch_embed.proj.weight", (0, 1, 4, 4)),
        ("audio_branch.layers.0.blocks.0.attn.relative_position_bias_table", (225,)),
    ],
)
def test_a_tensor_that_tells_no_size_is_an_error_in_one_line(goldens, tmp_path, name, shape):
    tensors = laion_names(original(goldens, "unfused")) | {name: np.zeros(shape, np.float32)}
    write_laion(tmp_path / "a.pt", tensors)
    with pytest.raises(UserError, match=r"a\.pt: .*") as found:
        main(["--from", "clap", "--in", str(tmp_path / "a.pt"), "--out", str(tmp_path / "out")])
    assert "\n" not in str(found.value)
    assert not (tmp_path / "out").exists()
