"""Tokenizers: transformers' from a folder, or bytes, which need no files."""

import codecs
import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import (
    copy_tree,
    existing_directory,
    read_json,
    read_json_object,
    read_text,
    visible,
    write_text,
)
from mtv_jax.text.clip_tokenizer import load_clip_tokenizer

_OBJECTS = ("tokenizer.json", "tokenizer_config.json")
_PLAIN_KEYS = {"tokenizer_class", "pad_token", "eos_token", "unk_token", "model_max_length"}
"""Of a `tokenizer_config.json` that adds nothing to the `tokenizer.json` beside it."""
_PUNCTUATION = ".,;:!?()[]{}\"'"

TokenizerKind = Literal["bytes", "folder", "clip"]


@runtime_checkable
class Tokenizer(Protocol):
    """The interface of a tokenizer that the encoder needs."""

    pad_id: int

    def encode(self, prompt: str) -> list[int]:
        """Token ids of the whole prompt, including the end-of-sequence token; not padded."""
        ...

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of the prompt that are not in the vocabulary, each once."""
        ...


class ByteTokenizer:
    """ByT5's vocabulary: 0 pad, 1 end, 2 unknown, then the 256 bytes of UTF-8."""

    pad_id = 0
    _end_id = 1
    _first_byte_id = 3

    def encode(self, prompt: str) -> list[int]:
        """Ids of the prompt's bytes, followed by the end token."""
        return [self._first_byte_id + byte for byte in prompt.encode("utf-8")] + [self._end_id]

    def unknown_words(self, prompt: str) -> list[str]:
        """None: every text can be tokenized to bytes."""
        return []


class FolderTokenizer:
    """A tokenizer saved by transformers.

    `ids` gives the ids of a prompt, special tokens included; `pad_id` and `unknown_id` are those of special tokens.
    """

    def __init__(self, ids: Callable[[str], list[int]], pad_id: int, unknown_id: int | None):
        self._ids = ids
        self.pad_id, self._unknown_id = pad_id, unknown_id

    def encode(self, prompt: str) -> list[int]:
        """Ids of the prompt, followed by the end token."""
        return self._ids(prompt)

    def unknown_words(self, prompt: str) -> list[str]:
        """Words with a part that becomes the unknown token, without the punctuation around them."""
        unknown = self._unknown_id
        if unknown is None or unknown not in self.encode(prompt):
            return []
        words = dict.fromkeys(word.strip(_PUNCTUATION) for word in prompt.split())
        return [word for word in words if word and unknown in self.encode(word)]


def load_tokenizer(directory: str | os.PathLike | None, kind: TokenizerKind = "folder") -> Tokenizer:
    """Loads the tokenizer saved in `directory`, or the byte-level one, for which `directory` is not read.

    `clip` reads a folder as OpenCLIP's tokenizer works: texts are repaired and in lower case, padding is 0. Raises
    UserError if a folder is required but missing, or cannot be read.
    """
    if kind == "bytes":
        return ByteTokenizer()
    if directory is None:
        raise UserError("text encoder: needs its tokenizer; give the folder that has its files")
    path = existing_directory(directory)
    if kind == "clip":
        return FolderTokenizer(load_clip_tokenizer(path).ids, 0, None)
    if obstacle := _obstacle(path):
        raise UserError(obstacle)
    with _plain_json(path) as readable:
        try:
            return _plain_fast(readable) or _of_transformers(readable)
        except Exception as error:  # an invalid tokenizer may raise any error
            raise UserError(
                f"{path}: not a tokenizer that transformers can read ({_first_line(error)})"
            ) from error


def _of_transformers(path: Path) -> FolderTokenizer:
    # transformers logs at import that torch is missing; tokenizers do not need it.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers import AutoTokenizer  # lazily, since the import takes seconds

    tokenizer: Any = AutoTokenizer.from_pretrained(str(path), local_files_only=True)

    def ids(prompt: str) -> list[int]:
        return tokenizer(prompt, add_special_tokens=True, verbose=False).input_ids

    return FolderTokenizer(ids, tokenizer.pad_token_id, tokenizer.unk_token_id)


def _plain_fast(path: Path) -> FolderTokenizer | None:
    """The tokenizer of a `tokenizer.json` to which its config adds nothing, read without importing transformers.

    transformers' class for such a file, `PreTrainedTokenizerFast`, only calls it. None for any other folder.
    """
    file, config_file = path / "tokenizer.json", path / "tokenizer_config.json"
    if not (file.is_file() and config_file.is_file()):
        return None
    config = read_json_object(config_file)
    if config.get("tokenizer_class") != "PreTrainedTokenizerFast" or not _PLAIN_KEYS.issuperset(config):
        return None
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    pad, unknown = (tokenizer.token_to_id(str(config.get(name))) for name in ("pad_token", "unk_token"))
    return None if pad is None else FolderTokenizer(lambda prompt: tokenizer.encode(prompt).ids, pad, unknown)


@contextlib.contextmanager
def _plain_json(path: Path) -> Iterator[Path]:
    """The folder, or a copy of it whose JSON files have no byte order mark, which transformers rejects.

    Raises UserError for an invalid JSON file, about which transformers' message would be long.
    """
    marked = []
    for file in visible(path):
        if file.suffix == ".json":
            _check_json(path, file)
            if file.read_bytes().startswith(codecs.BOM_UTF8):
                marked.append(file.name)
    if not marked:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tokenizer"
        copy_tree(path, copy)
        for name in marked:
            write_text(copy / name, read_text(path / name))
        yield copy


def _check_json(folder: Path, file: Path) -> None:
    read = read_json_object if file.name in _OBJECTS else read_json
    try:
        read(file)
    except UserError as error:
        raise UserError(f"{folder}: not a tokenizer that transformers can read ({error})") from error


def _obstacle(path: Path) -> str | None:
    """Why the folder cannot be read, for errors whose message in transformers has many lines."""
    if (path / "tokenizer.json").is_file():
        return None
    if (path / "spiece.model").is_file():
        if importlib.util.find_spec("sentencepiece") is None:
            return f"{path}: spiece.model needs the package sentencepiece; install it"
        return None
    if (path / "tokenizer_config.json").is_file():
        return None
    return f"{path}: no tokenizer here (tokenizer.json, spiece.model or tokenizer_config.json)"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
