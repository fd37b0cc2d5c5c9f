"""Stages of people: who is seen, how the mouths move, who speaks, and whether voices belong to those seen."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from mtv_jax.curation.filters.lip_sync import lip_sync_scores
from mtv_jax.curation.people.mouths import Mouth, measure_mouths
from mtv_jax.curation.roles import (
    ACTIVE,
    ActiveSpeaker,
    Evidence,
    NotInstalledError,
    PersonDetector,
    find_model,
    not_applicable,
    scores,
    unavailable,
)
from mtv_jax.curation.stages import CLIP, SPEECH, Item, Outcome, Stage
from mtv_jax.faces.tracks import (
    SAMPLED_FPS,
    count_people,
    from_json,
    link,
    track_from_json,
    track_to_json,
)
from mtv_jax.io.audio import read_audio
from mtv_jax.io.video import iter_frames, probe


@dataclass(frozen=True)
class Persons(Stage):
    """The people that are seen, each followed over the clip, and how many there are."""

    model: str

    name = "persons"
    needs = ("clips",)
    optional = True

    @property
    def detector(self) -> PersonDetector:
        """The model, loaded once."""
        return find_model("person_detector", self.model)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"person detector": dataclasses.asdict(self.detector.card())}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`. Without its package, the evidence says how to get it."""
        try:
            self.detector.card()
        except NotInstalledError as error:
            return Outcome(unavailable(str(error)))
        found = self.detector.find(item.folder / CLIP)
        return Outcome(person_scores(found["people"]) if found["status"] == "ok" else found)


def person_scores(people: Sequence[Sequence[Mapping[str, Any]]]) -> Evidence:
    """`count`, and `tracks` (`track_to_json`), of the people of each sampled frame (`PersonDetector`)."""
    tracks = link([[from_json(person) for person in frame] for frame in people])
    return scores(
        count=count_people(tracks, len(people)),
        frames=len(people),
        tracks=[track_to_json(track) for track in tracks],
    )


@dataclass(frozen=True)
class Mouths(Stage):
    """How the mouths of the people move."""

    name = "mouths"
    needs = ("clips", "persons")
    optional = True

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        info = probe(item.folder / CLIP)
        found = item.evidence["persons"]["tracks"]
        tracks = [track_from_json(track, info.width, info.height) for track in found]
        fps = float(info.fps)
        mouths = measure_mouths(iter_frames(item.folder / CLIP), fps, tracks, SAMPLED_FPS) if tracks else []
        return Outcome(scores(fps=fps, tracks=[None if m is None else mouth_to_json(m) for m in mouths]))


def mouth_to_json(mouth: Mouth) -> dict[str, Any]:
    """The fields, rounded."""
    series = {"opening": mouth.opening.round(4).tolist(), "motion": mouth.motion.round(4).tolist()}
    return {"first": mouth.first, **series}


def mouth_from_json(fields: Mapping[str, Any]) -> Mouth:
    """The inverse of `mouth_to_json`."""
    return Mouth(fields["first"], np.array(fields["opening"]), np.array(fields["motion"]))


@dataclass(frozen=True)
class LipSync(Stage):
    """Whether the voices belong to mouths that are seen."""

    name = "lip_sync"
    needs = ("clips", "mouths", "separation", "speakers")
    optional = True

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        if not item.evidence["speakers"]["turns"]:
            return Outcome(not_applicable("no speech"))
        rate = soundfile.info(item.folder / SPEECH).samplerate
        mouths = item.evidence["mouths"]
        found = [None if m is None else mouth_from_json(m) for m in mouths["tracks"]]
        turns, frames = item.evidence["speakers"]["turns"], item.evidence["clips"]["num_frames"]
        samples = read_audio(item.folder / SPEECH, rate)
        return Outcome(lip_sync_scores(found, samples, rate, turns, mouths["fps"], frames))


@dataclass(frozen=True)
class Speaking(Stage):
    """Who of the people speaks when, and whether somebody is in view while there is speech (MTV section 3.2)."""

    model: str

    name = "speaking"
    needs = ("clips", "persons", "mouths", "separation", "speakers")
    optional = True

    @property
    def speaker(self) -> ActiveSpeaker:
        """The model, loaded once."""
        return find_model("active_speaker", self.model)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"active speaker": dataclasses.asdict(self.speaker.card())}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        evidence, folder = item.evidence, item.folder
        turns, persons = evidence["speakers"]["turns"], evidence["persons"]
        if not turns:
            return Outcome(not_applicable("no speech"))
        found = self.speaker.score(folder / CLIP, folder / SPEECH, persons, evidence["mouths"], turns)
        if found["status"] != "ok":
            return Outcome(found)
        shares = view_scores(persons, found["scores"], turns)
        return Outcome(scores(scores=found["scores"], **shares))


def view_scores(
    persons: Mapping[str, Any], found: Sequence[Sequence[float]], turns: Sequence[Sequence[Any]]
) -> dict[str, float]:
    """Shares of the frames with speech: `in_view`, where a person is seen or speaks, and `active`, where one speaks.

    Somebody who is not found for a while is in view as long as the track goes on.
    """
    times = np.arange(persons["frames"]) / SAMPLED_FPS
    speech = np.any([(times >= start) & (times < end) for start, end, _ in turns], axis=0)
    seen, active = np.zeros(len(times), bool), np.zeros(len(times), bool)
    for track, values in zip(persons["tracks"], found, strict=True):
        frames = track["frames"]
        seen[frames[0] : frames[-1] + 1] = True
        active[[frame for frame, value in zip(frames, values, strict=True) if value >= ACTIVE]] = True
    if not speech.any():  # shorter than the step between sampled frames
        speech[:] = True
    return {"in_view": float((seen | active)[speech].mean()), "active": float(active[speech].mean())}
