"""What a stage of curation is: a step that turns a film, or a clip of one, into evidence and files.

A stage's outcome is found again by its key, so a stage runs once for an item, whatever else changes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from mtv_jax.curation.roles import Evidence

Scope = Literal["source", "clip"]


@dataclass(frozen=True)
class Item:
    """What a stage works on.

    Attributes:
      id: of a film (SHA-256 of its file) or of a clip (`mtv_jax.data.records.clip_id`).
      film: the source's file.
      folder: of this item, for the files that stages make.
      about: what is known of the film: `name`, `kind`, `licence`, and what the file beside it says.
      evidence: of the stages before, by name; of a film's stages those of the film.
    """

    id: str
    film: Path
    folder: Path
    about: Mapping[str, Any]
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a stage found. `clips` is for stages of films that say something of each clip: id -> evidence."""

    evidence: Evidence
    clips: Mapping[str, Evidence] = field(default_factory=dict)


@runtime_checkable
class Stage(Protocol):
    """One step.

    Attributes:
      name: names it in the ledger.
      version: increased when its outcome for the same input changes.
      scope: what it runs on.
      needs: the stages whose evidence or files it reads.
      files: the files in each clip's folder that it makes.
      params: JSON values that its outcome depends on.
    """

    name: str
    version: int
    scope: Scope
    needs: tuple[str, ...]
    files: tuple[str, ...]
    params: Mapping[str, Any]

    def weights(self) -> Mapping[str, Any]:
        """The cards (JSON) of its models. Raises UserError if one is missing."""
        ...

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """Works on one item; `clips` are those of the film, by id, for a stage of films.

        Raises UserError for an item that it cannot work on, and may raise anything for a damaged one.
        """
        ...


def stage_key(item: str, stage: Stage, cards: Mapping[str, Any], upstream: Mapping[str, str]) -> str:
    """SHA-256 of all that the outcome of a stage depends on. `upstream` has the keys of the stages it needs."""
    parts = [item, stage.name, stage.version, dict(stage.params), dict(cards), dict(upstream)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
