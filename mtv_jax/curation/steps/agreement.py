"""Stages of Maestro's curation: sound without its narrator, and whether picture, sound and label belong together."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import soundfile

from mtv_jax.curation.filters.agreement import agreement_scores
from mtv_jax.curation.roles import Embedder, find_model, scores
from mtv_jax.curation.stages import CLIP, SOUNDS, SPEECH, Item, Outcome, Stage
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.levels import rms_dbfs

_KEPT = ("effects.flac", "music.flac")
"""All of the sound but speech: the tracks of a separator add up to the mix."""


@dataclass(frozen=True)
class Narration(Stage):
    """The sound of a clip without speech, and the levels of both."""

    name = "narration"
    needs = ("clips", "separation")
    files = (SOUNDS,)

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        rate = soundfile.info(item.folder / SPEECH).samplerate
        first, second = (read_audio(item.folder / name, rate) for name in _KEPT)
        sounds = first + second
        write_audio(item.folder / SOUNDS, sounds, rate)
        speech = rms_dbfs(read_audio(item.folder / SPEECH, rate))
        return Outcome(scores(dbfs=round(rms_dbfs(sounds), 3), speech_dbfs=round(speech, 3)))


@dataclass(frozen=True)
class Agreement(Stage):
    """Cosines of the embeddings of key frames, of the sound in the file `heard`, and of the label."""

    model: str
    heard: str

    name = "agreement"
    needs = ("clips", "narration")

    @property
    def embedder(self) -> Embedder:
        """The model, loaded once."""
        return find_model("embedder", self.model)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"embedder": dataclasses.asdict(self.embedder.card())}

    def depends(self, about: Mapping[str, Any]) -> Any:
        """See `Stage`."""
        return about.get("label")

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        cut, label = item.evidence["clips"], item.about.get("label")
        frames, seconds = cut["num_frames"], float(cut["num_frames"] / Fraction(cut["fps"]))
        found = agreement_scores(
            item.folder / CLIP, item.folder / self.heard, seconds, frames, label, self.embedder
        )
        return Outcome(found)
