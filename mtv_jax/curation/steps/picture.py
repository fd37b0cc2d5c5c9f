"""Stages of pictures (and of what identifies a clip): motion, black bars, fingerprints."""

from collections.abc import Mapping
from dataclasses import dataclass

from mtv_jax.curation.filters.bars import bar_scores
from mtv_jax.curation.filters.duplicates import fingerprint
from mtv_jax.curation.filters.motion import motion_scores
from mtv_jax.curation.stages import CLIP, MIX, Item, Outcome, Stage


@dataclass(frozen=True)
class Motion(Stage):
    """How much the picture moves."""

    name = "motion"
    needs = ("clips",)

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        return Outcome(motion_scores(item.folder / CLIP))


@dataclass(frozen=True)
class Bars(Stage):
    """How much of the picture black bars take."""

    name = "bars"
    needs = ("clips",)

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        return Outcome(bar_scores(item.folder / CLIP))


@dataclass(frozen=True)
class Fingerprint(Stage):
    """What a clip looks and sounds like, to find its repetitions in other films."""

    name = "fingerprint"
    needs = ("clips",)

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        return Outcome(fingerprint(item.folder / CLIP, item.folder / MIX))
