"""CLIP's tokenizer, of any length: byte pairs, with a token at the start and one at the end.

The vocabulary is read from the user's files: a CLIP folder of transformers or diffusers, or the
`bpe_simple_vocab_16e6.txt.gz` of OpenAI's code and its relatives, which lists the merges. The package open_clip has it
too.
"""

import gzip
import html
import importlib.util
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file

_START, _END = "<|startoftext|>", "<|endoftext|>"
_NUM_TOKENS = 49408
_NUM_MERGES = _NUM_TOKENS - 2 * 256 - 2
"""In OpenAI's vocabulary: without the bytes, inside a word and at its end, and the two special tokens. The file of
merges lists more."""
_WORD = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True)
class CLIPTokenizer:
    """Token ids of prompts. `tokenizer` is that of the package tokenizers."""

    tokenizer: Any
    start_id: int
    end_id: int

    def ids(self, prompt: str) -> list[int]:
        """All ids of a prompt, between those of the start and the end."""
        words = self.tokenizer.encode(cleaned(prompt), add_special_tokens=False).ids
        return [self.start_id, *words, self.end_id]

    def encode(
        self, prompts: Sequence[str], length: int
    ) -> tuple[Int[np.ndarray, "b l"], Bool[np.ndarray, "b"]]:
        """Ids of prompts, int32, and which prompts were too long for `length` tokens.

        A long prompt is cut so that the end token is the last; a short one is followed by zeros, as OpenCLIP pads.
        The tokenizer of Stable Diffusion 2 pads with `!`, whose id is 0. Where a prompt has a `!`, transformers reads
        padding; here, without a `tokenizer.json` that says so, it is a word as in OpenCLIP, which trained the network.
        """
        tokens = np.zeros((len(prompts), length), np.int32)
        cut = np.zeros(len(prompts), bool)
        for row, prompt in enumerate(prompts):
            ids = self.ids(prompt)
            cut[row] = len(ids) > length
            kept = [*ids[: length - 1], self.end_id] if cut[row] else ids
            tokens[row, : len(kept)] = kept
        return tokens, cut


def cleaned(prompt: str) -> str:
    """A prompt as OpenAI's code reads it: encoding repaired, entities of HTML resolved, blanks single, lower case."""
    text = _ftfy().fix_text(prompt)
    text = html.unescape(html.unescape(text))
    return re.sub(r"\s+", " ", text).strip().lower()


def installed_vocabulary() -> Path:
    """The file of merges in the package open_clip, which is not imported. Raises UserError if it is not installed."""
    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise UserError(
            "CLIP's vocabulary: not installed; pip install --no-deps open_clip_torch==3.3.0, or give the folder of a "
            "CLIP tokenizer"
        )
    return existing_file(Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz"))


def load_clip_tokenizer(path: str | os.PathLike) -> CLIPTokenizer:
    """The tokenizer of a folder with `tokenizer.json` or `merges.txt`, or of such a file (merges: `.txt`, `.txt.gz`).

    Raises UserError for other files, a vocabulary that is not CLIP's, and if ftfy is not installed.
    """
    _ftfy()
    path = Path(path)
    file = existing_file(_in_folder(path) if path.is_dir() else path)
    try:
        tokenizer = _of_json(file) if file.suffix == ".json" else _of_merges(_merges(file))
    except UserError:
        raise
    except Exception as error:  # the package raises plain Exceptions for invalid files
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file}: not a vocabulary of CLIP ({first[:120]})") from error
    ids = [tokenizer.token_to_id(token) for token in (_START, _END)]
    if None in ids:
        raise UserError(f"{file}: not a vocabulary of CLIP, which has {_START} and {_END}")
    return CLIPTokenizer(tokenizer, *ids)


def _in_folder(folder: Path) -> Path:
    """The file of a tokenizer's folder: those of Stable Diffusion have only the merges, with a list of the tokens."""
    whole, merges = folder / "tokenizer.json", folder / "merges.txt"
    return merges if merges.exists() and not whole.exists() else whole


def _of_json(file: Path) -> Any:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _merges(file: Path) -> list[tuple[str, str]]:
    """The merges of OpenAI's file, whose first line is a comment."""
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    lines = content.decode("utf-8").splitlines()[1 : 1 + _NUM_MERGES]
    pairs = [tuple(line.split()) for line in lines if line.strip()]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise UserError(
            f"{file}: not a list of merges, two parts a line; give CLIP's bpe_simple_vocab_16e6.txt.gz"
        )
    return [(pair[0], pair[1]) for pair in pairs]


def _of_merges(merges: Sequence[tuple[str, str]]) -> Any:
    """OpenAI's tokenizer: ids count the bytes, the bytes at the end of a word, the merges, start and end."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    letters = _byte_letters()
    names = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), _START, _END]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges), end_of_word_suffix="</w>"))
    words = pre_tokenizers.Split(Regex(_WORD), "removed", invert=True)
    letters_of_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, letters_of_bytes])
    tokenizer.add_special_tokens([_START, _END])
    return tokenizer


def _byte_letters() -> Iterable[str]:
    """A visible letter for every byte, in the order of the ids: bytes that are visible in Latin-1, then the others."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = sorted(set(range(256)) - set(visible))
    return [chr(byte) for byte in visible] + [chr(256 + i) for i in range(len(others))]


def _ftfy() -> Any:
    """The package. Raises UserError if it is not installed."""
    try:
        import ftfy
    except ImportError as error:
        raise UserError("CLIP's tokenizer needs ftfy: pip install 'mtv_jax[eval]'") from error
    return ftfy
