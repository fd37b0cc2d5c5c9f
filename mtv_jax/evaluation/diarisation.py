"""The diarisation error rate: for how much of the speech it is said wrongly who speaks (NIST, RT-09)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mtv_jax.audio.turns import Turn
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Float


@dataclass(frozen=True)
class DiarisationErrors:
    """Seconds, each counted once for every speaker that it concerns.

    Attributes:
      speech: of the true turns.
      missed: of true turns while fewer were found.
      false_alarm: of found turns while there are fewer true ones.
      confusion: of found turns that are another speaker's.
    """

    speech: float
    missed: float
    false_alarm: float
    confusion: float

    def __add__(self, other: "DiarisationErrors") -> "DiarisationErrors":
        return DiarisationErrors(
            self.speech + other.speech,
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confusion + other.confusion,
        )

    @property
    def rate(self) -> float:
        """All errors divided by the speech: 0 is best, and more than 1 is possible. Raises UserError without speech."""
        if not self.speech:
            raise UserError("diarisation error rate: there is no true turn outside the collars")
        return (self.missed + self.false_alarm + self.confusion) / self.speech


def diarisation_errors(true: Sequence[Turn], found: Sequence[Turn], collar: float) -> DiarisationErrors:
    """Compares turns. Overlaps count; speakers are paired one to one so that the errors are fewest.

    Args:
      collar: seconds before and after each start and end of a true turn that are left out (usually 0.25 or 0).
    """
    edges = {edge for turn in true for edge in (turn.start, turn.end)}
    shifted = {edge + sign * collar for edge in edges for sign in (-1, 1)}
    times = sorted(edges | shifted | {edge for turn in found for edge in (turn.start, turn.end)})
    pieces = np.array(list(itertools.pairwise(times))).reshape(-1, 2)
    middles = pieces.mean(1)
    distances = np.abs(middles[:, None] - np.array(sorted(edges))[None])
    counted = distances.min(1, initial=np.inf) >= collar
    seconds = np.where(counted, pieces[:, 1] - pieces[:, 0], 0)
    theirs, ours = _active(true, middles), _active(found, middles)
    together = (theirs * seconds) @ ours.T
    right = float(together[linear_sum_assignment(together, maximize=True)].sum())
    expected, heard = theirs.sum(0), ours.sum(0)
    return DiarisationErrors(
        speech=float(expected @ seconds),
        missed=float(np.maximum(expected - heard, 0) @ seconds),
        false_alarm=float(np.maximum(heard - expected, 0) @ seconds),
        confusion=float(np.minimum(expected, heard) @ seconds) - right,
    )


def _active(turns: Sequence[Turn], times: Float[np.ndarray, "t"]) -> Float[np.ndarray, "n t"]:
    """1 where a speaker speaks, by their names' order."""
    names = sorted({turn.speaker for turn in turns})
    active = np.zeros((len(names), len(times)))
    for turn in turns:
        active[names.index(turn.speaker), (times >= turn.start) & (times < turn.end)] = 1
    return active
