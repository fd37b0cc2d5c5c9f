"""What a stage of curation is: a step that turns a film, or a clip of one, into evidence and files.

A stage's outcome is found again by its key, so a stage runs once for an item, whatever else changes.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from mtv_jax.curation.ledger import ERROR
from mtv_jax.curation.roles import Evidence, unavailable

Scope = Literal["film", "clip"]

CLIP, MIX, SPEECH = "clip.mp4", "mix.flac", "speech.flac"
"""Files in the folder of a clip: its picture, its sound, and its voices."""

LAST = ("caption", "encode")
"""The stages that run on clips which the others have let through."""


@dataclass(frozen=True)
class Item:
    """What a stage works on.

    Attributes:
      id: of a film (SHA-256 of its file) or of a clip (`mtv_jax.data.records.clip_id`).
      film: the source's file.
      folder: of this item, for the files that stages make.
      about: what is known of the film: `name`, `kind`, `licence`, and what the file beside it says.
      evidence: of the stages before, by name.
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


class Stage:
    """One step; subclasses are frozen dataclasses, whose fields are the parameters that its outcome depends on.

    Attributes:
      name: names it in the ledger.
      version: increased when its outcome for the same input changes.
      scope: what it runs on.
      needs: the stages whose evidence or files it reads; it runs where they succeeded.
      reads: the stages whose evidence or files it reads besides, where there are any.
      files: the files that it makes in the folder of each clip for which it finds something.
      keep: whether its files are kept with a clip that is kept.
      removes: what nobody needs in the folder of a clip once it has run on it.
      optional: whether a curation goes on without it: if its model is not installed, its evidence is `unavailable`
        and says how to get it, and it runs again once it is there; if it fails, its evidence is `unavailable`, too,
        and neither its film nor the clip is rejected.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    scope: ClassVar[Scope] = "clip"
    needs: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()
    files: tuple[str, ...] = ()
    keep: ClassVar[bool] = True
    removes: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[bool] = False

    @property
    def params(self) -> dict[str, Any]:
        """The fields, as JSON values."""
        fields = dataclasses.fields(self)  # pyright: ignore[reportArgumentType] - subclasses are dataclasses
        return {f.name: json.loads(json.dumps(getattr(self, f.name), default=str)) for f in fields}

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """Role -> card (JSON) of each of its models. Raises UserError if a package or weights are missing."""
        return {}

    def depends(self, about: Mapping[str, Any]) -> Any:
        """What its outcome depends on besides, of what is known of a film. JSON."""
        return None

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """Works on one item; `clips` are those of the film, by id, for a stage of films.

        Raises UserError for an item that it cannot work on, and may raise anything for a damaged one.
        """
        raise NotImplementedError


def failure(stage: Stage, reason: str) -> Evidence:
    """The evidence of a stage that has failed too often."""
    return unavailable(f"it failed: {reason}") if stage.optional else {"status": ERROR, "reason": reason}


def readers(stages: Iterable[Stage], name: str) -> list[str]:
    """The stages, of those in order, that depend on the stage `name`, directly or by others."""
    found = [name]
    for stage in stages:
        if not {*stage.needs, *stage.reads}.isdisjoint(found):
            found.append(stage.name)
    return found[1:]


class Keys:
    """Makes the keys of outcomes: SHA-256 of all that the outcome of a stage for an item depends on.

    Args:
      stages: in order.
      cards: stage -> its cards.
    """

    def __init__(self, stages: Iterable[Stage], cards: Mapping[str, Any]):
        self._stages = list(stages)
        self._identity = {
            stage.name: _json([stage.name, stage.version, stage.params, cards[stage.name]])
            for stage in self._stages
        }

    def film(self, film: str, about: Mapping[str, Any]) -> dict[str, str]:
        """Stage -> key, of the stages of films. `about` is what is known of the film."""
        return self._keys("film", film, about, {})

    def clip(self, clip: str, about: Mapping[str, Any], film: Mapping[str, str]) -> dict[str, str]:
        """Stage -> key, of the stages of clips. `film` has the keys of the clip's film."""
        return self._keys("clip", clip, about, film)

    def _keys(
        self, scope: Scope, item: str, about: Mapping[str, Any], upstream: Mapping[str, str]
    ) -> dict[str, str]:
        keys = dict(upstream)
        for stage in self._stages:
            if stage.scope == scope:
                needed = [keys.get(name, "") for name in (*stage.needs, *stage.reads)]
                text = _json([item, self._identity[stage.name], needed, stage.depends(about)])
                keys[stage.name] = hashlib.sha256(text.encode()).hexdigest()
        return {stage.name: keys[stage.name] for stage in self._stages if stage.scope == scope}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
