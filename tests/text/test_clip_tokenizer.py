"""CLIP's tokenizer on a vocabulary of a few merges; the real one is compared in tests/parity."""

import gzip
import importlib.util
import sys

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.text.clip_tokenizer import cleaned, installed_vocabulary, load_clip_tokenizer

pytest.importorskip("ftfy")
MERGES = "#version: 0.2\nl o\nlo w</w>\nc a\nca t</w>\n"
START, END = 516, 517  # 256 bytes, 256 at the end of a word, 4 merges


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("merges") / "bpe.txt.gz"
    path.write_bytes(gzip.compress(MERGES.encode()))
    return path


@pytest.fixture(scope="module")
def tokenizer(file):
    return load_clip_tokenizer(file)


def letter(character: str, *, last: bool = False) -> int:
    return ord(character) - 33 + 256 * last


def test_words_are_merged_and_ids_count_bytes_first(tokenizer):
    tokens, cut = tokenizer.encode(["Low CAT  lot's 12\u0001"], 16)
    words = [513, 515, 512, letter("t", last=True), letter("'"), letter("s", last=True)]
    digits = [letter("1", last=True), letter("2", last=True)]
    np.testing.assert_array_equal(tokens[0], [START, *words, *digits, END, *[0] * 6])
    assert tokens.dtype == np.int32
    assert not cut[0]


def test_other_alphabets_are_bytes(tokenizer):
    tokens, _ = tokenizer.encode(["é"], 6)  # the bytes c3, a9
    np.testing.assert_array_equal(tokens[0], [START, 0xC3 - 33 - 34 - 1, 256 + 0xA9 - 33 - 34, END, 0, 0])


def test_a_long_text_is_cut_before_the_end_token_and_reported(tokenizer):
    tokens, cut = tokenizer.encode(["low low low", "low low low low", ""], 5)
    np.testing.assert_array_equal(tokens, [[START, 513, 513, 513, END]] * 2 + [[START, END, 0, 0, 0]])
    np.testing.assert_array_equal(cut, [False, True, False])


def test_texts_are_cleaned_as_by_openai():
    assert cleaned("  A &amp;amp; B\n’tis\tÂ£5 ") == "a & b 'tis £5"


def test_a_folder_of_transformers_gives_the_same(tokenizer, tmp_path):
    tokenizer.tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = load_clip_tokenizer(tmp_path)
    prompts = ["low lot's", "a CAT&lt;"]
    np.testing.assert_array_equal(again.encode(prompts, 12)[0], tokenizer.encode(prompts, 12)[0])


def test_a_folder_of_stable_diffusion_has_the_merges_alone(tokenizer, tmp_path):
    (tmp_path / "merges.txt").write_text(MERGES)
    (tmp_path / "vocab.json").write_text("{}")
    prompts = ["low lot's", "a CAT!"]
    found = load_clip_tokenizer(tmp_path).encode(prompts, 12)[0]
    np.testing.assert_array_equal(found, tokenizer.encode(prompts, 12)[0])
    assert found[0, -1] == letter("!")  # what Stable Diffusion 2 pads with


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "#\nl o w\n", "not a list of merges, two parts a line"),
        ("a.txt", "", "not a list of merges"),
        ("a.txt", "#\nl o\nxx y\n", "not a vocabulary of CLIP"),
        ("a.txt.gz", "plain", "not a vocabulary of CLIP"),
        ("a.json", "{}", "not a vocabulary of CLIP"),
        ("a.json", '{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "which has <|startoftext|>"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message.replace("|", r"\|")):
        load_clip_tokenizer(tmp_path / name)


def test_what_is_missing_is_named(file, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"tokenizer\.json: no such file"):
        load_clip_tokenizer(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"not installed; pip install --no-deps open_clip_torch==3\.3\.0"):
        installed_vocabulary()
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(UserError, match=r"needs ftfy: pip install 'mtv_jax\[eval\]'"):
        load_clip_tokenizer(file)
