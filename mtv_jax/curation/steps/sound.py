"""Stages of sound: separation by two separators, whether they agree, quality and level."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from mtv_jax.audio.separation.base import STEMS, Separator, silent_levels
from mtv_jax.audio.separation.separators import check_name, find_separator
from mtv_jax.curation.filters.demixing import demixing_scores
from mtv_jax.curation.filters.sound import sound_scores
from mtv_jax.curation.roles import AudioQuality, Evidence, find_model, scores
from mtv_jax.curation.shots import Span
from mtv_jax.curation.slices import separated_spans
from mtv_jax.curation.stages import MIX, Item, Outcome, Stage
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.names import TRACKS

SECOND = "second"
"""The folder of the second separator's tracks in that of a clip, removed once they are compared."""


@dataclass(frozen=True)
class Separation(Stage):
    """The tracks of each clip, mono FLAC at the film's rate, of the sound of the whole film, which gives context."""

    separator: str

    name = "separation"
    scope = "film"
    needs = ("clips",)
    makes = TRACKS
    files = tuple(f"{track}.flac" for track in TRACKS)

    def __post_init__(self):
        check_name(self.separator, self.makes)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        cards = find_separator(self.separator).cards()
        return {f"{self.name}, {track}": dataclasses.asdict(card) for track, card in cards.items()}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        separator = find_separator(self.separator)
        spans = {name: Span.from_json(clip.evidence["clips"]["span"]) for name, clip in clips.items()}
        found = {}
        item.folder.mkdir(parents=True, exist_ok=True)
        for name, tracks, rate in separated_spans(item.film, spans, self.separator, item.folder):
            for file, samples in zip(self.files, tracks.values(), strict=True):
                write_audio(clips[name].folder / file, samples, rate)
            found[name] = _levels(tracks, separator)
        return Outcome(scores(separator=self.separator), found)


@dataclass(frozen=True)
class SecondSeparation(Separation):
    """The same by another separator, of two stems, for comparison."""

    name = "second_separation"
    makes = STEMS
    files = tuple(f"{SECOND}/{stem}.flac" for stem in STEMS)
    keep = False


def _levels(tracks: Mapping[str, np.ndarray], separator: Separator) -> Evidence:
    silent = silent_levels(separator, rms_dbfs(np.sum(list(tracks.values()), axis=0)))
    levels = {name: round(rms_dbfs(samples), 3) for name, samples in tracks.items()}
    heard = [name for name in tracks if levels[name] >= silent[name]]
    return scores(dbfs=levels, silent_dbfs=silent, heard=heard)


@dataclass(frozen=True)
class Demixing(Stage):
    """How far the two separators disagree on a clip (MTV section 3.2)."""

    name = "demixing"
    needs = ("clips", "separation", "second_separation")
    removes = (SECOND,)

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        first = {name: item.folder / f"{name}.flac" for name in TRACKS}
        second = {name: item.folder / SECOND / f"{name}.flac" for name in ("speech", "rest")}
        silent = item.evidence["separation"]["silent_dbfs"]
        return Outcome(demixing_scores(first, second, silent))


@dataclass(frozen=True)
class Quality(Stage):
    """How good a clip sounds."""

    model: str

    name = "quality"
    needs = ("clips", "separation")

    @property
    def rater(self) -> AudioQuality:
        """The model, loaded once."""
        return find_model("audio_quality", self.model)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"audio quality": dataclasses.asdict(self.rater.card())}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        rate = soundfile.info(item.folder / MIX).samplerate
        mix = read_audio(item.folder / MIX, rate)
        tracks = {name: read_audio(item.folder / f"{name}.flac", rate) for name in TRACKS}
        return Outcome(self.rater.rate(mix, rate, tracks))


@dataclass(frozen=True)
class Sound(Stage):
    """How loud the mix of a clip is."""

    name = "sound"
    needs = ("clips",)

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        return Outcome(sound_scores(item.folder / MIX))
