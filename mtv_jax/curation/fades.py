"""Finds fades: stretches of black, which lie between pictures that fade out and in."""

from collections.abc import Sequence

import numpy as np

from mtv_jax.curation.shots import Change
from mtv_jax.typing import UInt8


class Fades:
    """Finds stretches of black frames in a stream, as PySceneDetect's ThresholdDetector does, but while they last.

    Args:
      black: mean level in 0..255 below which a frame is black.
      least: fewest black frames that are a fade.
    """

    def __init__(self, black: int, least: int):
        self._black, self._least = black, least
        self._begun: int | None = None
        self._count = 0

    @property
    def settled(self) -> int:
        """Fades that begin before this frame have been returned."""
        return self._count if self._begun is None else self._begun

    @property
    def lasting(self) -> Sequence[Change]:
        """The fade that may go on, if there is one."""
        if self._begun is None or self._count - self._begun < self._least:
            return ()
        return (Change(self._begun, "fade", until=self._count),)

    def put(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Sequence[Change]:
        """Gives the next frame; the fade that ended before it."""
        ended: Sequence[Change] = ()
        if np.mean(pixels) >= self._black:
            ended, self._begun = self.lasting, None
        elif self._begun is None:
            self._begun = self._count
        self._count += 1
        return ended

    def end(self) -> Sequence[Change]:
        """The fade that the video ends with."""
        return self.lasting
