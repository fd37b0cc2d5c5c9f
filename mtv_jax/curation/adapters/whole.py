"""A detector of shots that finds none: each film is one shot."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mtv_jax.curation.roles import ModelCard
from mtv_jax.curation.shots import Change, ChangeFinder


@dataclass(frozen=True)
class WholeFilm:
    """Finds no changes of shot."""

    height: int = 16

    def card(self) -> ModelCard:
        """It is none."""
        return ModelCard("whole film", "1", "Apache-2.0", None, "classical")

    def begin(self, rate: Fraction) -> ChangeFinder:
        """See `ChangeDetector`."""
        return _None()


class _None:
    """Finds nothing (`ChangeFinder`)."""

    settled = sys.maxsize
    lasting = ()

    def put(self, pixels: np.ndarray) -> Sequence[Change]:
        """None at all."""
        return ()

    def end(self) -> Sequence[Change]:
        """None at all."""
        return ()
