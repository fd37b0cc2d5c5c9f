"""Finds dissolves, and fades to and from a flat colour: stretches in which a picture is the mean of those around it.

In a linear dissolve the frame in the middle is the mean of one before and one after, although these two differ much.
Motion does not do that: its middle frame has its edges at other places. (PySceneDetect has no detector of dissolves.)
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mtv_jax.typing import UInt8

_REACHES = (8, 24)
"""Frames before and after the middle one, for dissolves up to about twice as long. Shorter ones are located better."""


@dataclass(frozen=True)
class Mixed:
    """The frames [start, end) of a dissolve, about."""

    start: int
    end: int


class Dissolves:
    """Finds dissolves in a stream of frames, of which it keeps 49 at half their size.

    Args:
      least_difference: of the frames around the middle one, mean absolute in 0..255.
      most_error: difference of the middle frame from their mean, as a share of their difference. At a cut it is a half.
    """

    def __init__(self, least_difference: float, most_error: float):
        self._least, self._most = least_difference, most_error
        self._kept: deque[np.ndarray] = deque(maxlen=2 * _REACHES[-1] + 1)
        self._count = 0
        self._runs: dict[int, list[Mixed]] = {reach: [] for reach in _REACHES}

    def put(self, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
        """Gives the next frame."""
        self._kept.append(pixels[::2, ::2].astype(np.int16))
        self._count += 1
        for reach in _REACHES:
            if len(self._kept) > 2 * reach and self._is_mixed(reach):
                self._add(reach, self._count - 1 - reach)

    def found(self) -> Iterator[Mixed]:
        """Yields the dissolves so far, in no order."""
        near: list[Mixed] = []
        for reach in _REACHES:
            wide = [Mixed(max(run.start - reach, 0), run.end + reach) for run in self._runs[reach]]
            new = [
                run
                for run in wide
                if not any(run.start < other.end and other.start < run.end for other in near)
            ]
            near += new
            yield from (Mixed(run.start, min(run.end, self._count)) for run in new)

    def _is_mixed(self, reach: int) -> bool:
        """Whether the frame `reach` before the last one is the mean of the ones around it."""
        before, middle, after = self._kept[-1 - 2 * reach], self._kept[-1 - reach], self._kept[-1]
        difference = np.abs(before - after).mean()
        # Twice the middle one, so that there are no fractions.
        error = np.abs(2 * middle - before - after).mean() / 2
        return bool(difference >= self._least and error <= self._most * difference)

    def _add(self, reach: int, frame: int) -> None:
        """Adds a middle frame to the last run, or begins a new one."""
        runs = self._runs[reach]
        if runs and frame - runs[-1].end <= reach:
            runs[-1] = Mixed(runs[-1].start, frame + 1)
        else:
            runs.append(Mixed(frame, frame + 1))
