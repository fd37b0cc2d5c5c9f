"""Finds dissolves, and fades to and from a flat colour: stretches in which a picture is the mean of those around it.

In a linear dissolve the frame in the middle is the mean of one before and one after, although these two differ much.
Motion does not do that: its middle frame has its edges at other places. (PySceneDetect has no detector of dissolves.)
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtv_jax.curation.shots import Change
from mtv_jax.typing import UInt8

_SHORT, _LONG = 8, 24
"""Frames before and after the middle one, for dissolves up to about twice as long. Shorter ones are located better."""
_CERTAIN = 96
"""Length of a dissolve, in frames, from which on it is one even if a shorter one is found in it."""


class Dissolves:
    """Finds dissolves in a stream of frames, of which it keeps 49 at half their size.

    Args:
      least_difference: of the frames around the middle one, mean absolute in 0..255.
      most_error: difference of the middle frame from their mean, as a share of their difference. At a cut it is a half.
    """

    def __init__(self, least_difference: float, most_error: float):
        self._least, self._most = least_difference, most_error
        self._kept: deque[np.ndarray] = deque(maxlen=2 * _LONG + 1)
        self._count = 0
        self._short, self._long = _Run(_SHORT), _Run(_LONG)
        self._shorts: list[Change] = []
        """The last dissolves that were found with the short reach."""

    @property
    def settled(self) -> int:
        """Dissolves that begin before this frame have been returned."""
        begun = [run.change.frame for run in (self._short, self._long) if run.change and not run.dropped]
        return max(min([self._count - 2 * _LONG, *begun]), 0)

    @property
    def lasting(self) -> Sequence[Change]:
        """Those that may go on."""
        return [x for x in (self._short.change, self._long.change if self._is_certain() else None) if x]

    def put(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Sequence[Change]:
        """Gives the next frame; the dissolves that have ended."""
        self._kept.append(pixels[::2, ::2].astype(np.int16))
        self._count += 1
        ended = [self._judge(run) for run in (self._short, self._long)]
        return [change for change in ended if change]

    def end(self) -> Sequence[Change]:
        """Those that the video ends in."""
        ended = [self._ended(run) for run in (self._short, self._long)]
        return [Change(x.frame, "dissolve", min(x.end, self._count)) for x in ended if x]

    def _judge(self, run: "_Run") -> Change | None:
        """Judges the frame that has its reach on both sides now; the dissolve that has ended for that."""
        if len(self._kept) <= 2 * run.reach:
            return None
        middle = self._count - 1 - run.reach
        ended = None
        if self._is_mixed(run.reach):
            run.add(middle)
        elif run.change and middle >= run.change.end:
            ended = self._ended(run)
        self._compare()
        return ended

    def _ended(self, run: "_Run") -> Change | None:
        """Ends a run; what it has found."""
        found, run.change = None if run.dropped else run.change, None
        if run is self._short and found:
            self._shorts.append(found)
        run.dropped = False
        return found

    def _compare(self) -> None:
        """Drops what was found with the long reach if it overlaps with what was found with the short one."""
        long = self._long.change
        if long is None:
            self._shorts = [x for x in self._shorts if x.end > self._count - 2 * _LONG]
        elif not self._is_certain():
            shorts = [*self._shorts, *filter(None, [self._short.change])]
            overlap = any(long.frame < x.end and x.frame < long.end for x in shorts)
            self._long.dropped = self._long.dropped or overlap

    def _is_certain(self) -> bool:
        long = self._long.change
        return bool(long and not self._long.dropped and long.end - long.frame >= _CERTAIN)

    def _is_mixed(self, reach: int) -> bool:
        """Whether the frame `reach` before the last one is the mean of the ones around it."""
        before, middle, after = self._kept[-1 - 2 * reach], self._kept[-1 - reach], self._kept[-1]
        difference = np.abs(before - after).mean()
        # Twice the middle one, so that there are no fractions.
        error = np.abs(2 * middle - before - after).mean() / 2
        return bool(difference >= self._least and error <= self._most * difference)


@dataclass
class _Run:
    """Frames that are mixed at one reach, with gaps up to the reach.

    Attributes:
      reach: frames before and after.
      change: the dissolve so far: from the frame before the first one that is mixed to the one after the last.
      dropped: whether it is none.
    """

    reach: int
    change: Change | None = None
    dropped: bool = False

    def add(self, middle: int) -> None:
        """Adds a mixed frame."""
        first = max(middle - self.reach, 0) if self.change is None else self.change.frame
        self.change = Change(first, "dissolve", middle + 1 + self.reach)
