"""CLAP's tokenizer: RoBERTa's byte pairs, read from the `tokenizer.json` of a CLAP or RoBERTa-base folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory

FILE = "tokenizer.json"
_SPECIAL = ("<s>", "<pad>", "</s>")


@dataclass(frozen=True)
class ClapTokenizer:
    """Token ids of texts. `tokenizer` is that of the package tokenizers, which adds the start and end tokens."""

    tokenizer: Any
    pad_id: int

    def encode(self, texts: Sequence[str]) -> Int[np.ndarray, "n l"]:
        """Ids of texts, int32, each followed by padding up to the length of the longest.

        Raises UserError for a text with words that are not in a vocabulary of whole words; byte pairs know all.
        """
        rows = [self.tokenizer.encode(text).ids for text in texts]
        unknown = self.tokenizer.token_to_id("<unk>")
        for text, ids in zip(texts, rows, strict=True):
            if unknown in ids:
                known = sorted(word for word in self.tokenizer.get_vocab() if word.isalnum())
                raise UserError(
                    f"sound {text!r}: not known to this network, which knows {', '.join(known[:20])}"
                )
        tokens = np.full((len(rows), max(map(len, rows), default=0)), self.pad_id, np.int32)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        return tokens


def load_clap_tokenizer(folder: str | os.PathLike) -> ClapTokenizer:
    """The tokenizer of a folder with `tokenizer.json`. Nothing is downloaded.

    Raises UserError if there is no such file, or it is not a vocabulary of RoBERTa's.
    """
    file = existing_directory(Path(folder)) / FILE
    if not file.is_file():
        raise UserError(
            f"{file}: missing; put RoBERTa-base's {FILE} there, as laion/clap-htsat-unfused has it"
        )
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises plain Exceptions for invalid files
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file}: not a tokenizer ({first[:120]})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    start, pad, end = (tokenizer.token_to_id(token) for token in _SPECIAL)
    if pad is None or tokenizer.encode("").ids != [start, end]:
        raise UserError(
            f"{file}: not RoBERTa's tokenizer, which puts a text between <s> and </s> and has <pad>"
        )
    return ClapTokenizer(tokenizer, pad)
