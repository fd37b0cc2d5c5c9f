"""What the detectors know of a clip, and whether a caption says the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtv_jax.curation.ledger import OK
from mtv_jax.curation.roles import ACTIVE
from mtv_jax.text.template import read_prompt

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, as shares of the picture's width and height."""

_LEAST = 0.2
"""Share of a face's frames that are active if it speaks in the clip: single frames are chance."""


@dataclass(frozen=True)
class Face:
    """A face that is followed through a clip. `speaks` is None if nobody has looked whether it does."""

    box: Box
    speaks: bool | None

    @property
    def middle(self) -> float:
        """From the left, as a share of the width."""
        return (self.box[0] + self.box[2]) / 2


@dataclass(frozen=True)
class Known:
    """Facts of a clip; None: not known.

    Attributes:
      people: how many are seen, as annotated, or else as detected.
      voices: how many speak, as diarised; 0 if there is no speech.
      faces: from left to right.
      heard: the tracks that are not silent.
      motion: optical flow, percent of the picture's width.
    """

    people: int | None
    voices: int | None
    faces: tuple[Face, ...]
    heard: tuple[str, ...] | None
    motion: float | None

    @classmethod
    def of(cls, about: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]) -> "Known":
        """From what is known of the film, and the evidence of the clip."""
        found = {stage: values for stage, values in evidence.items() if values.get("status") == OK}
        heard = found.get("separation", {}).get("heard")
        voices = found.get("speakers", {}).get("speakers")
        if voices is None and heard is not None and "speech" not in heard:
            voices = 0
        people = about.get("people")
        return cls(
            people=found.get("persons", {}).get("count") if people is None else people,
            voices=voices,
            faces=_faces(found),
            heard=None if heard is None else tuple(heard),
            motion=found.get("motion", {}).get("flow"),
        )

    @property
    def speakers(self) -> tuple[Face, ...]:
        """The faces that speak."""
        return tuple(face for face in self.faces if face.speaks)

    def as_text(self) -> str:
        """Text for a model that receives frames but no sound; "" if nothing is known."""
        parts = []
        if self.voices == 0:
            parts.append("Nobody speaks: participants and speaking are empty.")
        elif self.voices is not None:
            parts.append(f"Voices heard: {self.voices}; there are as many participants, all of whom speak.")
        if self.people is not None:
            parts.append(f"People seen: {self.people}.")
        if self.voices and self.speakers:
            places = ", ".join(f"{face.middle:.0%}" for face in self.speakers)
            parts.append(f"Faces of those who speak, in percent of the width from the left: {places}.")
        return " ".join(["From the sound and the detectors:", *parts]) if parts else ""


def _faces(found: Mapping[str, Mapping[str, Any]]) -> tuple[Face, ...]:
    """A face for each person; a person that was lost and found again has several tracks, of which the longest count."""
    persons = found.get("persons", {"tracks": (), "count": 0})
    active = found.get("speaking", {}).get("scores", [None] * len(persons["tracks"]))
    tracks = sorted(
        zip(persons["tracks"], active, strict=True), key=lambda pair: len(pair[0]["frames"]), reverse=True
    )
    faces = [_face(track, scores) for track, scores in tracks[: persons["count"]]]
    return tuple(sorted(faces, key=lambda face: face.middle))


def _face(track: Mapping[str, Any], scores: Sequence[float] | None) -> Face:
    left, top, right, bottom = np.median([face["box"] for face in track["faces"]], axis=0).tolist()
    speaks = None if scores is None else bool(np.mean(np.array(scores) >= ACTIVE) >= _LEAST)
    return Face((left, top, right, bottom), speaks)


def disagreements(prompt: str, known: Known) -> dict[str, str] | None:
    """Where a prompt says something else than is known: what it is about -> both, in words.

    `participants`: as many as there are voices. `people`: no more than are seen. `speaking`: whether anybody does, and
    who, where the faces and the participants are the same people from left to right. None for a prompt that is not in
    the template, which cannot be compared.
    """
    said = read_prompt(prompt)
    if said is None:
        return None
    found = {}
    count = len(said.persons)
    if known.voices and count and count != known.voices:
        found["participants"] = f"{count} described, {known.voices} heard"
    if known.people is not None and count > known.people:
        found["people"] = f"{count} described, {known.people} seen"
    if known.voices is not None and bool(said.speaking) != bool(known.voices):
        found["speaking"] = f"{len(said.speaking)} described, {known.voices} heard"
    elif said.speaking and len(known.faces) == count and all(face.speaks is not None for face in known.faces):
        seen = tuple(number for number, face in enumerate(known.faces, 1) if face.speaks)
        if seen and seen != said.speaking:
            found["speaking"] = f"{_numbers(said.speaking)} described, {_numbers(seen)} seen"
    return found


def _numbers(values: tuple[int, ...]) -> str:
    return " and ".join(map(str, values))
