"""The stage that says who speaks when in each clip."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from mtv_jax.audio.turns import Turn, write_rttm
from mtv_jax.curation.ledger import OK
from mtv_jax.curation.roles import Diarizer, Evidence, NotInstalledError, find_model, scores, unavailable
from mtv_jax.curation.shots import Span
from mtv_jax.curation.speakers import turn_scores
from mtv_jax.curation.stages import SPEECH, Item, Outcome, Stage
from mtv_jax.io.audio import read_audio

BLOCK = 120.0
"""Seconds of the films' speech that are diarised at once: a clip is often too short to tell two voices apart."""
LEAST = 0.3
"""Seconds that someone must speak in a clip to count as its speaker: found turns are about so exact at their ends."""


@dataclass(frozen=True)
class Speakers(Stage):
    """Who speaks when in each clip, of the speech tracks of the clips of a film, which give each other context."""

    model: str

    name = "speakers"
    version = 2
    scope = "film"
    needs = ("clips", "separation")
    files = ("speakers.rttm",)
    optional = True

    @property
    def diarizer(self) -> Diarizer:
        """The model, loaded once."""
        return find_model("diarizer", self.model)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"diarizer": dataclasses.asdict(self.diarizer.card())}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`. Without its package, the evidence of each clip says how to get it.

        Clips whose turns are known lack files only; if some of them were heard alone, other turns might be found.
        """
        diarizer = self.diarizer
        try:
            diarizer.card()
        except NotInstalledError as error:
            missing = unavailable(str(error))
            return Outcome(missing, dict.fromkeys(clips, missing))
        known = {n: dict(clip.evidence[self.name]) for n, clip in clips.items() if self.name in clip.evidence}
        found = known if len(known) == len(clips) else _heard(clips, diarizer)
        for name, evidence in found.items():
            if evidence["status"] == OK:
                write_rttm(clips[name].folder / self.files[0], map(_turn, evidence["turns"]), name)
        return Outcome(scores(model=self.model), found)


def _heard(clips: Mapping[str, Item], diarizer: Diarizer) -> dict[str, Evidence]:
    """The evidence of each clip."""
    found: dict[str, Evidence] = {}
    for block in blocks(clips):
        found |= diarize_block(block, diarizer)
    return found


def blocks(clips: Mapping[str, Item]) -> Iterator[dict[str, Item]]:
    """The clips in order of time, as many as begin within `BLOCK` seconds."""
    ordered = sorted(clips.items(), key=lambda pair: _span(pair[1]).start)
    block: dict[str, Item] = {}
    for name, clip in ordered:
        if block and _span(clip).start - _span(next(iter(block.values()))).start >= BLOCK:
            yield block
            block = {}
        block[name] = clip
    if block:
        yield block


def diarize_block(clips: Mapping[str, Item], diarizer: Diarizer) -> dict[str, Evidence]:
    """The evidence of each clip, whose turns are in seconds from its beginning."""
    first = next(iter(clips.values()))
    rate, origin = soundfile.info(first.folder / SPEECH).samplerate, _span(first).start
    spans = {name: _span(clip) for name, clip in clips.items()}
    end = max(span.end for span in spans.values())
    speech = np.zeros(round((end - origin) * rate) + 1, np.float32)
    for name, clip in clips.items():
        if "speech" in clip.evidence["separation"]["heard"]:
            samples = read_audio(clip.folder / SPEECH, rate)
            at = round((spans[name].start - origin) * rate)
            speech[at : at + len(samples)] = samples[: len(speech) - at]
    found = diarizer.diarize(speech, rate) if speech.any() else turn_scores([])
    if found["status"] != OK:
        return dict.fromkeys(clips, found)
    turns = [_turn(row) for row in found["turns"]]
    return {
        name: turn_scores(within(turns, float(span.start - origin), float(span.end - origin)))
        for name, span in spans.items()
    }


def within(turns: Sequence[Turn], start: float, end: float) -> list[Turn]:
    """The parts of turns in a clip, from its beginning, of those who speak at least `LEAST` seconds in it."""
    parts = [
        Turn(max(turn.start, start) - start, min(turn.end, end) - start, turn.speaker)
        for turn in turns
        if turn.end > start and turn.start < end
    ]
    seconds: dict[str, float] = {}
    for part in parts:
        seconds[part.speaker] = seconds.get(part.speaker, 0) + part.end - part.start
    return [part for part in parts if seconds[part.speaker] >= LEAST]


def _span(clip: Item) -> Span:
    return Span.from_json(clip.evidence["clips"]["span"])


def _turn(row: Sequence[Any]) -> Turn:
    return Turn(row[0], row[1], row[2])
