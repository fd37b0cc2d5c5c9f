"""Tokenizers: transformers' from a folder, or bytes, which need no file."""

import importlib.util
import os
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory

TokenizerKind = Literal["bytes", "folder"]


@runtime_checkable
class Tokenizer(Protocol):
    """What the encoder needs of a tokenizer."""

    pad_id: int

    def encode(self, prompt: str) -> list[int]:
        """Token ids of the whole prompt, the end-of-sequence token included; not padded."""
        ...


class ByteTokenizer:
    """ByT5's vocabulary: 0 pad, 1 end, 2 unknown, then the 256 bytes of UTF-8."""

    pad_id = 0
    _end_id = 1
    _first_byte_id = 3

    def encode(self, prompt: str) -> list[int]:
        """Ids of the prompt's bytes, then the end token."""
        return [self._first_byte_id + byte for byte in prompt.encode("utf-8")] + [self._end_id]


class FolderTokenizer:
    """A tokenizer as transformers saves it."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self.pad_id = tokenizer.pad_token_id

    def encode(self, prompt: str) -> list[int]:
        """Ids of the prompt, then the end token."""
        return self._tokenizer(prompt, add_special_tokens=True, verbose=False).input_ids


def load_tokenizer(directory: str | os.PathLike | None, kind: TokenizerKind = "folder") -> Tokenizer:
    """The tokenizer saved in `directory`, or the byte-level one, for which `directory` is not read.

    Raises UserError if a folder is needed and missing, or transformers cannot read it.
    """
    if kind == "bytes":
        return ByteTokenizer()
    if directory is None:
        raise UserError("text encoder: needs its tokenizer; give the folder that has its files")
    path = existing_directory(directory)
    if obstacle := _obstacle(path):
        raise UserError(obstacle)
    # transformers says at import that no torch is there; tokenizers do not need it.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers import AutoTokenizer  # here, since it takes seconds to import

    try:
        return FolderTokenizer(AutoTokenizer.from_pretrained(str(path), local_files_only=True))
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a tokenizer that transformers can read ({_first_line(error)})"
        ) from error


def _obstacle(path: Path) -> str | None:
    """Why the folder cannot be read, where transformers would say it in many lines."""
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
