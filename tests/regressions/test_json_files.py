"""JSON of others: configs, indices, descriptions, manifests. Each error is one line that names the file."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.curation.sources import _description
from mtv_jax.data.shards import open_shards
from mtv_jax.evaluation.scene import read_scene
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, read_text
from mtv_jax.io.json_text import parse_json
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.t5 import T5Encoder
from mtv_jax.pipelines.loading import _check_parts
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.text.tokenizer import ByteTokenizer, load_tokenizer
from mtv_jax.weights import pretrained
from mtv_jax.weights.model_index import read_defaults
from mtv_jax.weights.pretrained import load_config, load_model
from mtv_jax.weights.scheduler import load_schedule
from mtv_jax.weights.tensor_files import read_tensors

BAD = {
    "deep": b"[" * 200_000,
    "deep and closed": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "a hundred deep": b'{"a":' * 100 + b"1" + b"}" * 100,
    "a long number": b'{"a": ' + b"1" * 10_000 + b"}",
    "a negative one": b'{"a": -' + b"1" * 10_000 + b"}",
    "a large number": b'{"a": 1e999}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a key twice": b'{"a": 1, "a": 2}',
    "half a character": rb'{"a": "\ud800"}',
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "nothing": b"",
    "cut off": b'{"a": 1',
}
OTHER_TOP = {"a list": b"[1]", "a number": b"1", "a string": b'"x"', "null": b"null"}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_invalid_json_is_reported_in_one_line(tmp_path, data):
    """Found by attack: JSON nested 200,000 deep or with a number of 10,000 digits was a traceback."""
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.json: ") as found:
        read_json(tmp_path / "a.json")
    assert len(str(found.value)) < 250 + len(str(tmp_path))
    assert "\n" not in str(found.value)


def test_json_of_others_is_read():
    """Siblings of what is refused: a byte order mark, transformers' number for no limit, whole surrogate pairs."""
    assert parse_json(b'\xef\xbb\xbf{"a": 1}', "x") == {"a": 1}
    assert parse_json(b"[1000000000000000019884624838656, -1.5e3]", "x") == [10**30 + 19884624838656, -1500]
    assert parse_json(rb'"\ud83c\udfb5"', "x") == "\U0001f3b5"


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    """A copy of the preset to spoil; put each file back."""
    folder = tmp_path_factory.mktemp("preset") / "tiny"
    return Path(shutil.copytree(pipeline_folder("tiny"), folder))


READERS = {
    "model_index.json": read_defaults,
    "scheduler/scheduler_config.json": lambda folder: load_schedule(folder / "scheduler"),
    "transformer/config.json": lambda folder: load_config(folder / "transformer"),
    "vae/config.json": lambda folder: load_model(folder / "vae"),
    "text_encoder/config.json": lambda folder: load_config(folder / "text_encoder"),
    "audio_encoder/config.json": lambda folder: load_audio_encoder(folder / "audio_encoder"),
    "tokenizer/tokenizer.json": lambda folder: load_tokenizer(folder / "tokenizer"),
    "tokenizer/tokenizer_config.json": lambda folder: load_tokenizer(folder / "tokenizer"),
    "vae/x.safetensors.index.json": lambda folder: read_tensors(folder / "vae"),
    "scene.json": read_scene,
    "manifest.json": open_shards,
    "clip.json": lambda folder: _description(folder / "clip.mp4"),
}


@pytest.mark.parametrize("name", READERS)
def test_every_file_of_json_is_read_by_the_same_rules(preset, name):
    """Found by attack: not the config alone, each of them."""
    path = preset / name
    kept = path.read_bytes() if path.exists() else None
    try:
        for data in (BAD["deep"], BAD["a long number"], BAD["NaN"], BAD["not UTF-8"], *OTHER_TOP.values()):
            path.write_bytes(data)
            with pytest.raises(UserError, match=path.name):
                READERS[name](preset)
        if kept is not None:
            path.write_bytes(b"\xef\xbb\xbf" + kept)
            READERS[name](preset)
    finally:
        path.unlink() if kept is None else path.write_bytes(kept)


def spoilt(preset: Path, name: str, **values: object) -> None:
    """Changes a config of the copy for good: each test has its own fields."""
    path = preset / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


COUNTS = [
    ("transformer", "num_layers"),
    ("transformer", "num_attention_heads"),
    ("transformer", "attention_head_dim"),
    ("transformer", "sample_frames"),
    ("transformer", "temporal_compression_ratio"),
    ("transformer", "sample_height"),
    ("transformer", "max_text_seq_length"),
    ("controlnet", "interaction_blocks"),
    ("controlnet", "context_tokens"),
    ("controlnet", "audio_layers"),
    ("controlnet", "window"),
    ("text_encoder", "num_layers"),
    ("text_encoder", "num_heads"),
    ("text_encoder", "d_model"),
    ("text_encoder", "vocab_size"),
    ("vae", "layers_per_block"),
    ("vae", "norm_num_groups"),
    ("vae", "latent_channels"),
    ("vae", "temporal_kernel_size"),
    ("audio_encoder", "bins"),
    ("audio_encoder", "n_fft"),
    ("audio_encoder", "subframes"),
]


@pytest.mark.parametrize(("part", "field"), COUNTS)
def test_counts_are_bounded_before_anything_is_built(preset, part, field, monkeypatch):
    """Found by attack: `num_layers: 1000000` gave no answer for minutes, `num_attention_heads: 0` a traceback."""
    monkeypatch.setattr(pretrained, "make_model", lambda *_, **__: pytest.fail("was built"))
    path = preset / part / "config.json"
    kept = path.read_text()
    try:
        for value in (10**9, 0, -1, 1.5, True, "3", [], None if field != "patch_size_t" else "x"):
            spoilt(preset, f"{part}/config.json", **{field: value})
            with pytest.raises(UserError, match=rf"{part}/config\.json: .*{field}"):
                _config_of(preset / part)
    finally:
        path.write_text(kept)


def _config_of(folder: Path):
    if folder.name == "audio_encoder":
        return load_audio_encoder(folder)
    return load_config(folder)


def test_other_fields_are_of_their_types_too(preset):
    """Found by attack: siblings of the counts, among them widths that are each allowed but not together."""
    cases = [
        ("transformer", {"num_attention_heads": 1024, "attention_head_dim": 1024}, "num_attention_heads"),
        ("transformer", {"norm_eps": "small"}, "norm_eps"),
        ("vae", {"block_out_channels": [4] * 40}, "block_out_channels"),
        ("vae", {"block_out_channels": 4}, "block_out_channels"),
        ("vae", {"block_out_channels": [4, "x"]}, "block_out_channels"),
        ("vae", {"scaling_factor": 0}, "scaling_factor"),
        ("vae", {"invert_scale_latents": "no"}, "invert_scale_latents"),
        ("audio_encoder", {"floor_db": 0}, "floor_db"),
        ("audio_encoder", {"max_hz": 9000}, "max_hz"),
        ("text_encoder", {"relative_attention_num_buckets": 1}, "relative_attention_num_buckets"),
        ("text_encoder", {"architectures": 5}, "class"),
    ]
    for part, values, field in cases:
        path = preset / part / "config.json"
        kept = path.read_text()
        spoilt(preset, f"{part}/config.json", **values)
        with pytest.raises(UserError, match=rf"config\.json: .*{field}"):
            _config_of(preset / part)
        path.write_text(kept)


@pytest.mark.parametrize(
    ("name", "values", "field"),
    [
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**9}, "num_train_timesteps"),
        ("scheduler/scheduler_config.json", {"beta_end": 7}, "beta_end"),
        ("scheduler/scheduler_config.json", {"prediction_type": ["v"]}, "scheduler_config"),
        ("model_index.json", {"_class_name": 5}, "pipeline 5"),
        ("model_index.json", {"_defaults": []}, "model_index"),
        ("model_index.json", {"_defaults": {"num_frames": "25"}}, "num_frames"),
        ("model_index.json", {"_defaults": {"fps": [12, 0]}}, "fps"),
        ("model_index.json", {"_defaults": {"fps": 12}}, "fps"),
        ("model_index.json", {"_defaults": {"text_length": 10**9}}, "text_length"),
        ("model_index.json", {"_defaults": {"sampler": "x"}}, "sampler"),
        ("model_index.json", {"_defaults": {"colour": 1}}, "colour"),
    ],
)
def test_schedules_and_defaults_are_held_against_their_types(preset, name, values, field):
    """Found by attack: siblings of the networks' configs."""
    kept = (preset / name).read_text()
    spoilt(preset, name, **values)
    try:
        with pytest.raises(UserError, match=rf"{Path(name).name}.*{field}|{field}"):
            READERS[name](preset)
    finally:
        (preset / name).write_text(kept)


def test_networks_that_do_not_fit_together_are_named(preset):
    """Found by attack: each config was right by itself, and sampling ended in a traceback of shapes."""
    folder, (dit, text) = Path("x"), (load_config(preset / name) for name in ("transformer", "text_encoder"))
    vae = load_config(preset / "vae")

    def check(dit=dit, vae=vae, text=text, length=40):
        _check_parts(folder, dit, vae, TextEncoder(ByteTokenizer(), T5Encoder(text), {}, length, "zeros"))

    check()
    for wrong, reported in (
        ({"vae": replace(vae, latent_channels=4)}, "vae/ has latents of 4"),
        ({"dit": replace(dit, in_channels=4)}, "takes 4 and gives 8"),
        ({"text": replace(text, d_model=32)}, "embeddings of 32 numbers"),
        ({"length": 41}, "text_length of 41"),
    ):
        with pytest.raises(UserError, match=reported):
            check(**wrong)


def test_random_weights_beyond_the_memory_are_not_made(tmp_path, monkeypatch):
    """Found by attack: a folder without weights, whose config asks for a terabyte of random ones."""
    config = json.loads((pipeline_folder("tiny") / "text_encoder" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"_untrained_seed": 0}))
    monkeypatch.setattr(pretrained, "_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"config\.json: [\d,]+ random weights need"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"_untrained_seed": -1}))
    with pytest.raises(UserError, match=r"config\.json: _untrained_seed -1: must be from 0"):
        load_model(tmp_path)


def test_the_largest_networks_there_are_stay_within_the_bounds():
    """What the bounds must not refuse."""
    from mtv_jax.models.registry import make_config, make_model, variants

    for network in ("dit", "mtv", "t5", "vae3d", "wav2vec2", "beats", "htdemucs"):
        for variant in variants(network):
            make_config(network, variant)
    assert parameter_shapes(make_model("vae3d", make_config("vae3d", "tiny")))


def test_text_is_utf_8_with_or_without_a_mark(tmp_path):
    """QzoneExporter#32, for any text that is read."""
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa bell\n")
    assert read_text(tmp_path / "a.txt") == "a bell\n"
    for data, reported in (
        (b"\xfe\xff\0a", "UTF-16"),
        (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
        (b"a \xe9", "not UTF-8"),
    ):
        (tmp_path / "a.txt").write_bytes(data)
        with pytest.raises(UserError, match=rf"a\.txt: its text is {reported}"):
            read_text(tmp_path / "a.txt")


def test_words_that_the_preset_does_not_know_are_named(caplog):
    """Found by a newcomer: they change nothing, and nobody said so."""
    from mtv_jax.text.encoder import _tokenise

    tokenizer = load_tokenizer(pipeline_folder("tiny") / "tokenizer")
    _tokenise(tokenizer, ["A giraffe (zebra) in a blue door, giraffe."], 40)
    assert caplog.messages == ["words that the model does not know, and ignores: giraffe, zebra"]
    assert tokenizer.unknown_words("a blue bell") == []
    with pytest.raises(UserError, match="prompt .*: it is not UTF-8"):
        _tokenise(tokenizer, [b"a bell \xff".decode(errors="surrogateescape")], 40)
