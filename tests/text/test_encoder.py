"""Tokenizers, and prompts turned into embeddings."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.models.t5 import T5Config, T5Encoder
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text import encoder as module
from mtv_jax.text.clip_tokenizer import load_clip_tokenizer
from mtv_jax.text.encoder import encode_prompts, pad_text
from mtv_jax.text.tokenizer import ByteTokenizer, load_tokenizer

PROMPTS = ["a dog barks", "drums", "über 東京 🎵"]


@pytest.fixture(scope="module")
def encoder():
    model = T5Encoder(dataclasses.replace(T5Config.tiny(), vocab_size=384))  # bytes
    return model, jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))


def encode(encoder, prompts, max_length=24, **options):
    model, params = encoder
    given = (load_tokenizer(None, "bytes"), model, params, prompts)
    return encode_prompts(*given, max_length=max_length, **options)


def test_bytes_are_byt5s():
    from transformers import ByT5Tokenizer

    theirs = ByT5Tokenizer()
    ours = load_tokenizer(None, "bytes")
    assert ours.pad_id == theirs.pad_token_id
    for prompt in [*PROMPTS, "", "line\nbreak\ttab"]:
        assert ours.encode(prompt) == theirs(prompt).input_ids


def test_a_folder_is_read_through_transformers(tmp_path):
    from transformers import ByT5Tokenizer

    ByT5Tokenizer().save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.pad_id == 0
    assert tokenizer.encode("speech") == ByteTokenizer().encode("speech")


def test_a_folder_without_a_tokenizer_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no tokenizer here"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="not a tokenizer that transformers can read"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="give the folder"):
        load_tokenizer(None)


def test_zeros_drops_the_padding_and_does_not_depend_on_it(encoder):
    short, long = (encode(encoder, PROMPTS, n, padding="zeros") for n in (24, 31))
    for prompt, a, b in zip(PROMPTS, short, long, strict=True):
        assert a.shape == (len(prompt.encode()) + 1, 64)
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_encoded_keeps_the_embeddings_of_the_padding(encoder):
    model, params = encoder
    (kept,) = encode(encoder, PROMPTS[:1], padding="encoded")
    ids = ByteTokenizer().encode(PROMPTS[0])
    padded = jnp.asarray([ids + [0] * (24 - len(ids))])
    np.testing.assert_allclose(kept, jax.jit(model.apply)(params, padded)[0], atol=2e-5)
    assert np.abs(kept[len(ids) :]).max() > 0.1


def test_batches_do_not_change_the_result(encoder, monkeypatch):
    together = encode(encoder, PROMPTS, padding="zeros")
    monkeypatch.setattr(module, "_BATCH", 2)
    apart = encode(encoder, PROMPTS, padding="zeros")
    for a, b in zip(together, apart, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert encode(encoder, []) == []


def test_a_long_prompt_is_cut_keeps_its_end_and_is_logged(encoder, caplog):
    with caplog.at_level(logging.WARNING):
        cut, short = encode(encoder, ["x" * 40, "x" * 23], padding="zeros")
    assert len(cut) == 24
    np.testing.assert_allclose(cut, short, atol=2e-5)
    assert [record.getMessage()[:40] for record in caplog.records] == [
        "prompt truncated from 41 to 24 tokens: x"
    ]


def test_prompts_for_clip_are_tokenised_as_by_openclip(tmp_path):
    """Padded with zeros, and cut before the end token."""
    (tmp_path / "merges.txt").write_text("#version: 0.2\nd o\ndo g</w>\n", encoding="utf-8")
    prompts = ["", "A dog", "a b c d e f g"]
    tokens, mask = module._tokenise(load_tokenizer(tmp_path, "clip"), prompts, 6)
    expected, cut = load_clip_tokenizer(tmp_path).encode(prompts, 6)
    np.testing.assert_array_equal(tokens, expected)
    assert cut.tolist() == [False, False, True]
    assert mask.sum(1).tolist() == [2, 4, 6]
    with pytest.raises(UserError, match="no-such"):
        load_tokenizer(tmp_path / "no-such", "clip")


def test_pad_text_fills_with_zeros_and_refuses_what_is_too_long():
    batch = pad_text([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)], 4)
    np.testing.assert_array_equal(batch[..., 0], [[1, 1, 0, 0], [1, 1, 1, 1]])
    with pytest.raises(UserError, match="4 tokens: the model takes 3"):
        pad_text([np.ones((4, 3), np.float32)], 3)


def test_a_plain_tokenizer_gives_the_ids_of_transformers():
    from transformers import AutoTokenizer

    folder = pipeline_folder("tiny") / "tokenizer"
    ours, theirs = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    for prompt in (
        "a bell on the left, red curtain behind.",
        "xyzzy",
        "",
        "Two  spaces, a\nline!",
        "bell " * 60,
    ):
        assert ours.encode(prompt) == theirs(prompt, add_special_tokens=True).input_ids
    assert ours.pad_id == theirs.pad_token_id
    assert ours.unknown_words("a xyzzy bell") == ["xyzzy"]
