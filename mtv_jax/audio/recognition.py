"""What is heard in a sound, by CLAP: embeddings of words and of sounds, and their cosines.

The scores are not calibrated: they differ between checkpoints, and rank the words of one list for one sound. They do
not say how probable it is that a word is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mtv_jax.audio.separation.base import check_finite
from mtv_jax.io.audio import resample
from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import (
    Clap,
    ClapFeatureConfig,
    ClapText,
    ClapTextConfig,
    ClapTokenizer,
    clap_features,
    load_clap_tokenizer,
)
from mtv_jax.typing import Params
from mtv_jax.weights.clap import load_feature_config
from mtv_jax.weights.pretrained import load_model

_TOKENS = 16
"""Texts are padded to a multiple of so many tokens, so that few programs are compiled."""


@dataclass(frozen=True)
class ClapEncoder:
    """A CLAP with its tokenizer, and the options of its spectrograms unless it is the text half alone."""

    model: Clap | ClapText
    params: Params
    tokenizer: ClapTokenizer
    features: ClapFeatureConfig | None = None

    @property
    def text_config(self) -> ClapTextConfig:
        """Of the text half."""
        return _text_config(self.model)

    def text_embeddings(self, words: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Embeddings of texts such as `dog barking`, float32, of unit length, as AudioSep takes them.

        The texts go in as they are, without a sentence around them. Raises UserError for a text of more tokens than
        the network has positions, and without texts.
        """
        if not words:
            raise UserError("no words: give at least one")
        tokens = self.tokenizer.encode(words)
        length = tokens.shape[1]
        padded = min(-(-length // _TOKENS) * _TOKENS, max(length, self.text_config.max_text_tokens))
        tokens = np.pad(tokens, ((0, 0), (0, padded - length)), constant_values=self.tokenizer.pad_id)
        return _unit_rows(_apply(self.model, "text_features", self.params, tokens))

    def audio_embeddings(self, sound: Float[np.ndarray, "s c"], sample_rate: int) -> Float[np.ndarray, "w d"]:
        """Embeddings of a sound's windows (`clap_features`), float32, of unit length; channels are averaged.

        Raises UserError for the text half alone, and for a sound without samples or with some that are not finite.
        """
        if self.features is None:
            raise UserError("the text half of CLAP hears no sounds; give the folder of a whole ClapModel")
        check_finite(sound)
        mono = (
            resample(sound.mean(1), sample_rate, self.features.sampling_rate) if len(sound) else sound[:, 0]
        )
        mels, longer = clap_features(mono, self.features)
        rows = [
            _apply(self.model, "audio_features", self.params, mel[None], long[None])
            for mel, long in zip(mels, longer, strict=True)
        ]
        return _unit_rows(np.concatenate(rows))


@dataclass(frozen=True)
class Proposal:
    """A word, as a source that may be in a mix.

    Attributes:
      cosine: of word and sound.
      share: of the softmax over all words of the list.
      chosen: whether `share` exceeds that of chance, 1 over the number of words.
    """

    word: str
    cosine: float
    share: float
    chosen: bool


def score_words(
    clap: ClapEncoder, sound: Float[np.ndarray, "s c"], sample_rate: int, words: Sequence[str]
) -> dict[str, float]:
    """The cosine of a sound and of each word, by word; of a long sound's windows the highest one.

    Raises UserError as `text_embeddings` and `audio_embeddings` do, and for blank words.
    """
    if not all(word.strip() for word in words):
        raise UserError(f"words {list(words)}: one is blank; describe a sound, or leave it out")
    words = list(dict.fromkeys(words))
    texts = clap.text_embeddings(words)
    cosines = (clap.audio_embeddings(sound, sample_rate) @ texts.T).max(0)
    return {word: float(cosine) for word, cosine in zip(words, cosines, strict=True)}


def propose_sources(
    clap: ClapEncoder, sound: Float[np.ndarray, "s c"], sample_rate: int, words: Sequence[str]
) -> list[Proposal]:
    """All words, those first that are most likely in a mix, and which of them are proposed as its sources.

    Cosines times the network's learned scale go through a softmax over the list; words with more than an equal share
    are chosen. So the choice depends on the list: it always contains the most similar word, even if none is in the mix,
    and a word may be pushed below its share by others that mean the same. Raises UserError as `score_words` does,
    and for fewer than two different words, between which there is nothing to choose.
    """
    if len(set(words)) < 2:
        raise UserError("fewer than two different words: nothing to choose between")
    cosines = score_words(clap, sound, sample_rate, words)
    logits = np.exp(np.asarray(clap.params["params"]["logit_scale_a"])) * np.array([*cosines.values()])
    weights = np.exp(logits - logits.max())
    shares = weights / weights.sum()
    found = [
        Proposal(word, cosine, float(share), bool(share > 1 / len(cosines)))
        for (word, cosine), share in zip(cosines.items(), shares, strict=True)
    ]
    return sorted(found, key=lambda proposal: -proposal.share)


def load_clap(folder: Path, *, dtype: Any = jnp.float32) -> ClapEncoder:
    """The CLAP of a folder of transformers: `ClapModel`, or the text half alone, with `tokenizer.json` beside it.

    The options of the spectrograms are those of `preprocessor_config.json`, or the released ones. Raises UserError as
    `load_model` does, for another network, without the tokenizer, and if the parts do not fit each other.
    """
    model, params = load_model(folder, dtype=dtype)
    if not isinstance(model, (Clap, ClapText)):
        raise UserError(f"{folder}: {type(model).__name__} is not a CLAP")
    tokenizer, pad = load_clap_tokenizer(folder), _text_config(model).pad_token_id
    if tokenizer.pad_id != pad:
        raise UserError(f"{folder}: the tokenizer pads with {tokenizer.pad_id}, the network with {pad}")
    features = load_feature_config(folder, model.config.audio) if isinstance(model, Clap) else None
    return ClapEncoder(model, params, tokenizer, features)


def _text_config(model: Clap | ClapText) -> ClapTextConfig:
    return model.config.text if isinstance(model, Clap) else model.config


def _unit_rows(features: Any) -> Float[np.ndarray, "n d"]:
    rows = np.asarray(features, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@partial(jax.jit, static_argnums=(0, 1))
def _apply(model: nn.Module, method: str, params: Params, *inputs: Any) -> Any:
    return model.apply(params, *inputs, method=method)
