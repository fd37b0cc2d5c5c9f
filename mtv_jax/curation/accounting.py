"""Every second of the films is accounted for: kept, or rejected for a reason, or counted twice.

    seconds in = kept + rejected, by reason - overlap

Clips may overlap: `overlap` is what they have in sum beyond what they cover. All is exact (fractions).
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

Interval = tuple[Fraction, Fraction]


def covered(intervals: Iterable[Interval]) -> Fraction:
    """Seconds of the union of intervals [start, end)."""
    total, last = Fraction(0), None
    for start, end in sorted(intervals):
        first = start if last is None else max(start, last)
        total += max(end - first, Fraction(0))
        last = end if last is None else max(last, end)
    return total


@dataclass
class Account:
    """Where the seconds of films went."""

    seconds: Fraction = Fraction(0)
    kept: Fraction = Fraction(0)
    rejected: dict[str, Fraction] = field(default_factory=dict)
    overlap: Fraction = Fraction(0)
    unread: int = 0
    """Films whose length is not known, since they cannot be read."""

    @property
    def missing(self) -> Fraction:
        """Seconds that are not accounted for: 0."""
        return self.seconds - self.kept - sum(self.rejected.values(), Fraction(0)) + self.overlap

    def reject(self, reason: str, seconds: Fraction) -> None:
        """Adds rejected seconds."""
        self.rejected[reason] = self.rejected.get(reason, Fraction(0)) + seconds

    def to_json(self) -> dict[str, Any]:
        """Seconds as floats."""
        rejected = {reason: float(seconds) for reason, seconds in sorted(self.rejected.items())}
        sums = {"seconds": float(self.seconds), "kept": float(self.kept), "overlap": float(self.overlap)}
        return {**sums, "rejected": rejected, "unread": self.unread}


def account(films: Iterable[Mapping[str, Any]], clips: Iterable[Mapping[str, Any]]) -> Account:
    """The account of the rows of a curation's verdicts (`mtv_jax.curation.verdicts`), those of a film together."""
    total = Account()
    for _, rows in itertools.groupby(clips, key=lambda clip: clip["source"]):
        total.overlap += _add_clips(total, rows)
    for film in films:
        if film["seconds"] is None:
            total.unread += 1
            continue
        total.seconds += Fraction(film["seconds"])
        if film["rejected"] is not None:
            total.reject(film["rejected"], Fraction(film["seconds"]))
        for reason, seconds in film["unused"].items():
            total.reject(reason, Fraction(seconds))
    return total


def _add_clips(total: Account, clips: Iterable[Mapping[str, Any]]) -> Fraction:
    """Adds the seconds of the clips of a film; their overlap."""
    inside = []
    for clip in clips:
        start, end = Fraction(clip["start"]), Fraction(clip["end"])
        inside.append((start, end))
        if clip["keep"]:
            total.kept += end - start
        else:
            total.reject(clip["failures"][0], end - start)
    return sum((end - start for start, end in inside), Fraction(0)) - covered(inside)
