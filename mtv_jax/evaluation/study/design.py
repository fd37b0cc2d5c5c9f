"""The design of a study: neutral names of clips and videos, and the order for each participant.

All of it follows from the seed, so that the same videos give the same study.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.evaluation.study.form import Form, form_of
from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object

VERSION = 1
_KIND = "mtv_jax study key"
_MOST = 2**31
_NAMES, _ORDERS = range(2)
"""Random streams."""

Order = list[tuple[str, list[str]]]
"""Clips, and the videos of each, by their neutral names, as a participant sees them."""


@dataclass(frozen=True)
class Chosen:
    """A clip that is shown: its id in the folders, its text ("": none), and a SHA-256 of the file of each system."""

    id: str
    text: str
    sources: Mapping[str, str]


@dataclass(frozen=True)
class StudyClip:
    """A clip of a study; the system and the SHA-256 of the original are by neutral names of the videos."""

    id: str
    text: str
    videos: Mapping[str, str]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Study:
    """A study and its key; clips by neutral names."""

    form: Form
    participants: int
    seed: int
    systems: tuple[str, ...]
    clips: Mapping[str, StudyClip]

    @property
    def id(self) -> str:
        """Tells answers of this study from those of others; it does not reveal the key.

        It does not depend on the number of participants, which can be raised while a study is running.
        """
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:16]

    def order(self, participant: int) -> Order:
        """What a participant (from 1) sees: clips, and videos within each, shuffled independently."""
        rng = np.random.default_rng([self.seed, _ORDERS, participant])
        names = list(self.clips)
        clips = [names[i] for i in rng.permutation(len(names))]
        return [(clip, _shuffled(rng, list(self.clips[clip].videos))) for clip in clips]

    def to_json(self) -> dict[str, Any]:
        """As the key holds it."""
        return {
            "kind": _KIND,
            "schema_version": VERSION,
            "study": self.id,
            "participants": self.participants,
            **self._content(),
        }

    def _content(self) -> dict[str, Any]:
        clips = {
            name: {
                "id": clip.id,
                "text": clip.text,
                "videos": dict(clip.videos),
                "sources": dict(clip.sources),
            }
            for name, clip in self.clips.items()
        }
        return {
            "form": self.form.id,
            "seed": self.seed,
            "systems": list(self.systems),
            "clips": clips,
        }


def design(form: Form, clips: Sequence[Chosen], *, participants: int, seed: int) -> Study:
    """Gives clips, at least one, and their videos names that do not depend on their systems."""
    systems = tuple(clips[0].sources)
    width = len(str(len(clips) * len(systems)))
    rng = np.random.default_rng([seed, _NAMES])
    numbers = iter(rng.permutation(len(clips) * len(systems)) + 1)
    named = {}
    for place, clip in enumerate(clips, 1):
        # Sorted by the names, so that the order says nothing of the systems either.
        names = dict(sorted((f"v{next(numbers):0{width}d}", system) for system in systems))
        sources = {name: clip.sources[system] for name, system in names.items()}
        named[f"c{place:0{width}d}"] = StudyClip(clip.id, clip.text, names, sources)
    return Study(form, participants, seed, systems, named)


def read_key(path: Path) -> Study:
    """Reads the key of a study. Raises UserError if it is not one, or was changed."""
    values = read_json_object(path)
    if values.get("kind") != _KIND or values.get("schema_version") != VERSION:
        raise UserError(
            f"{path}: not the key of a study; give the key.json that `evaluate study build` wrote"
        )
    with errors_in_file(path):
        clips = {
            name: StudyClip(clip["id"], clip["text"], dict(clip["videos"]), dict(clip["sources"]))
            for name, clip in values["clips"].items()
        }
        participants = check_whole("participants", values["participants"], most=_MOST)
        seed = check_whole("seed", values["seed"], least=0, most=2**63)
        study = Study(form_of(values["form"]), participants, seed, tuple(values["systems"]), clips)
        if study.id != values["study"]:
            raise UserError("its content does not match its study id; restore the file")
    return study


def _shuffled(rng: np.random.Generator, names: list[str]) -> list[str]:
    return [names[i] for i in rng.permutation(len(names))]
