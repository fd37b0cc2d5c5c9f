"""A curation as its folder has it, opened without running a model: for decide, pack, report, status and verify."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtv_jax.curation.evidence import evidence_of
from mtv_jax.curation.inputs import Film, read_films
from mtv_jax.curation.ledger import OK, Row
from mtv_jax.curation.made import Made
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.roles import Evidence
from mtv_jax.curation.settings import Layout, Settings, load_settings
from mtv_jax.curation.stages import Stage
from mtv_jax.curation.store import Store
from mtv_jax.curation.verdicts import Verdicts, judge
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object


@dataclass(frozen=True)
class Session:
    """A curation."""

    layout: Layout
    settings: Settings
    cards: Mapping[str, Mapping[str, Any]]
    films: tuple[Film, ...]

    @classmethod
    def open(cls, layout: Layout) -> "Session":
        """Reads a curation's folder. Raises UserError if there is none in it, or its first run did not get far."""
        settings = load_settings(layout)
        if not layout.films.exists():
            raise UserError(
                f"{layout.out}: its films are not hashed yet; `python -m mtv_jax.curate run` goes on"
            )
        return cls(layout, settings, read_json_object(layout.cards), tuple(read_films(layout.films)))

    @functools.cached_property
    def stages(self) -> list[Stage]:
        """The stages that are on."""
        return make_stages(self.settings)

    @functools.cached_property
    def evidences(self) -> Store:
        """What the ledger knows."""
        return Store(self.layout, self.settings, self.films, self.stages, self.cards)

    def verdicts(self) -> Verdicts:
        """By the config."""
        return judge(self.evidences, self.settings.config, self.layout.alike)

    def rows(self, clip: Mapping[str, Any]) -> Mapping[str, Row]:
        """Stage -> outcome of a clip, a row of the verdicts."""
        return self.evidences.rows(clip["clip"])

    def evidence(self, clip: Mapping[str, Any], rows: Mapping[str, Row]) -> Mapping[str, Evidence]:
        """Stage -> evidence of a clip, from its `rows`."""
        return evidence_of(rows, self.film_of(clip), self.stages)

    def has_files(self, clip: Mapping[str, Any], rows: Mapping[str, Row]) -> bool:
        """Whether all files of a kept clip are there, made by the present stages, of which `rows` are."""
        folder, made = self.layout.clip(clip), Made()
        made_by = [stage for stage in self.stages if stage.keep and stage.name in rows]
        return all(
            made.has(folder, stage, rows[stage.name]["key"])
            for stage in made_by
            if rows[stage.name]["status"] == OK
        )

    def film_of(self, clip: Mapping[str, Any]) -> Film:
        """The film of a clip."""
        return self._by_source[clip["source"]]

    @functools.cached_property
    def _by_source(self) -> dict[str, Film]:
        return {film.source: film for film in self.films}
