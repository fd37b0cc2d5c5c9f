"""What a separator by words is, and how loud what it found is within the mix."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from mtv_jax.audio.separation.base import ModelCard, Tracks
from mtv_jax.io.errors import UserError
from mtv_jax.io.levels import rms_dbfs


@runtime_checkable
class SeparatorByText(Protocol):
    """Extracts from a mix the sounds that words describe, each on its own: the tracks need not add up to the mix."""

    def card(self) -> ModelCard:
        """Its model. Raises UserError if its package or weights are missing."""
        ...

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int, words: Sequence[str]) -> Tracks:
        """The sound of each description, float32 [s, channels] at `sample_rate` Hz, shaped like `samples`.

        Raises UserError for words that are empty or given twice, and for samples that are not finite.
        """
        ...


def check_words(words: Sequence[str]) -> None:
    """Raises UserError unless there are descriptions, all different and none blank."""
    if not words:
        raise UserError("no words for the sounds to separate; give at least one description")
    for number, word in enumerate(words):
        if not word.strip():
            raise UserError(f"words {list(words)}: number {number + 1} is blank; describe the sound")
        if word in words[:number]:
            raise UserError(f"words {list(words)}: {word!r} is there twice; give each sound once")


def relative_levels(samples: Float[np.ndarray, "_ c"], tracks: Tracks) -> Mapping[str, float]:
    """Energy of each track relative to that of the mix, in dB.

    A sound that is not in the mix comes out quiet. How quiet depends on the model and the mix, so no threshold is
    given; digital silence counts as `FLOOR_DBFS`.
    """
    mix = rms_dbfs(samples)
    return {word: rms_dbfs(track) - mix for word, track in tracks.items()}
