"""The clips of a report, in columns, so that a page can be made of very many."""

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.decide import unjudged
from mtv_jax.typing import Float

Clip = Mapping[str, Any]
"""`id`, `source`, `seconds`, `folder`, `keep`, `failures` in order, `subsets`; given with `evidence` by stage."""

Names = tuple[str, ...]


class Clips:
    """Clips, of whose evidence only numbers stay, and what little else a page counts.

    Attributes:
      ids, failures, subsets: of each clip.
      keep, seconds: of each clip.
      scores: `stage.score` or `stage.score.key` -> a number for each clip; NaN without.
      compared: the track with which the demixing filter compared the second separator's rest -> clips; `none`: nothing.
      unjudged: stage and reason -> clips that the stage would have judged, had it had its model.
      captioned, tokens: clips with a caption, and what all captions cost.
      disagreements: number of a clip whose caption was compared with the evidence -> differences, by what they are of.
    """

    def __init__(self, clips: Iterable[Clip] = ()):
        self.ids: list[str] = []
        self.failures: list[Names] = []
        self.subsets: list[Names] = []
        self.compared: Counter[str] = Counter()
        self.unjudged: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[str] = Counter()
        self.captioned = self.compared_captions = 0
        self.disagreements: dict[int, Mapping[str, str]] = {}
        self._places: list[tuple[str, str]] = []
        self._seconds, self._keep = array("d"), array("b")
        self._scores: dict[str, array] = {}
        self._names: dict[Names, Names] = {}
        for clip in clips:
            self._add(clip)
        self.seconds = np.array(self._seconds)
        self.keep = np.array(self._keep, bool)
        self.scores = {name: self._padded(name) for name in self._scores}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> Clip:
        """A clip, without its evidence."""
        source, folder = self._places[number]
        return {
            "id": self.ids[number],
            "source": source,
            "folder": Path(folder),
            "seconds": float(self.seconds[number]),
            "keep": bool(self.keep[number]),
            "failures": self.failures[number],
            "subsets": self.subsets[number],
        }

    def score(self, name: str) -> Float[np.ndarray, "n"]:
        """A score of each clip, NaN without."""
        return self.scores.get(name, np.full(len(self), np.nan))

    def sample(self, numbers: Iterable[int], count: int) -> list[int]:
        """Those with the smallest ids, which are as good as drawn at random, since ids are hashes."""
        return heapq.nsmallest(count, numbers, key=lambda number: self.ids[number])

    def _add(self, clip: Clip) -> None:
        evidence = clip["evidence"]
        for name, value in numbers_of(evidence):
            self._column(name).append(value)
        self.ids.append(clip["id"])
        self.failures.append(self._shared(clip["failures"]))
        self.subsets.append(self._shared(clip["subsets"]))
        self._places.append((clip["source"], str(clip["folder"])))
        self._seconds.append(clip["seconds"])
        self._keep.append(clip["keep"])
        demixing = evidence.get("demixing", {})
        if "compared" in demixing:
            self.compared[demixing["compared"] or "none"] += 1
        self.unjudged.update(unjudged(evidence).items())
        self._add_caption(evidence.get("caption", {}))

    def _add_caption(self, caption: Mapping[str, Any]) -> None:
        self.tokens.update(caption.get("tokens", {}))
        self.captioned += caption.get("status") == "ok"
        if caption.get("disagrees") is not None:
            self.compared_captions += 1
            if caption["disagrees"]:
                self.disagreements[len(self) - 1] = caption["disagrees"]

    def _column(self, name: str) -> array:
        """The values of a score, of all clips before the next one."""
        values = self._scores.setdefault(name, array("d"))
        if len(values) < len(self):
            values.extend([np.nan] * (len(self) - len(values)))
        return values

    def _padded(self, name: str) -> np.ndarray:
        return np.array(self._column(name))

    def _shared(self, names: Iterable[str]) -> Names:
        """One tuple for all clips that have the same: there are few."""
        found = tuple(names)
        return self._names.setdefault(found, found)


def numbers_of(evidence: Mapping[str, Any], prefix: str = "", depth: int = 3) -> Iterator[tuple[str, float]]:
    """All numbers in evidence by name: `stage.score` or `stage.score.key`."""
    for key, value in evidence.items():
        if isinstance(value, Mapping) and depth > 1:
            yield from numbers_of(value, f"{prefix}{key}.", depth - 1)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and prefix:
            yield f"{prefix}{key}", float(value)
