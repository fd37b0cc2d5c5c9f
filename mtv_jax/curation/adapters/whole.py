"""A detector of shots that finds none: each film is one shot."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mtv_jax.curation.roles import ModelCard
from mtv_jax.curation.shots import Change


@dataclass(frozen=True)
class WholeFilm:
    """Finds no changes of shot."""

    height: int = 16

    def card(self) -> ModelCard:
        """It is none."""
        return ModelCard("whole film", "1", "Apache-2.0", None, "classical")

    def changes(self, frames: Iterable[np.ndarray], rate: Fraction) -> Iterator[Change]:
        """None at all. The frames are not read."""
        return iter(())
