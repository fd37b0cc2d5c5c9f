"""A curation as its folder has it, opened without running a model: for decide, pack, report, status and verify."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtv_jax.curation.inputs import Film, read_films
from mtv_jax.curation.ledger import OK, State, read_ledger
from mtv_jax.curation.made import Made
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.roles import Evidence
from mtv_jax.curation.settings import Layout, Settings, load_settings
from mtv_jax.curation.stages import Keys
from mtv_jax.curation.verdicts import Evidences, Verdicts, judge, with_duplicates
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json_object


@dataclass(frozen=True)
class Session:
    """A curation."""

    layout: Layout
    settings: Settings
    cards: Mapping[str, Mapping[str, Any]]
    films: tuple[Film, ...]
    state: State

    @classmethod
    def open(cls, layout: Layout) -> "Session":
        """Reads a curation's folder. Raises UserError if there is none in it, or its first run did not get far."""
        settings = load_settings(layout)
        if not layout.films.exists():
            raise UserError(
                f"{layout.out}: its films are not hashed yet; `python -m mtv_jax.curate run` goes on"
            )
        cards = read_json_object(layout.cards)
        return cls(
            layout, settings, cards, tuple(read_films(layout.films)), State(read_ledger(layout.ledger))
        )

    @functools.cached_property
    def keys(self) -> Keys:
        """Makes the keys of the stages."""
        return Keys(make_stages(self.settings), self.cards)

    @functools.cached_property
    def evidences(self) -> Evidences:
        """What the ledger knows."""
        settings = self.settings
        return Evidences(self.films, make_stages(settings), self.keys, self.state, settings.config.retries)

    def verdicts(self) -> Verdicts:
        """By the config."""
        return judge(self.evidences, self.settings.config)

    @functools.cached_property
    def _found(self) -> Mapping[str, Mapping[str, Evidence]]:
        return with_duplicates(self.evidences, self.settings.config)

    def evidence(self, clip: str) -> Mapping[str, Evidence]:
        """Stage -> evidence of a clip."""
        return self._found[clip]

    def film_of(self, clip: str) -> Film:
        """The film of a clip."""
        return self.evidences.film_of[clip]

    def keys_of(self, clip: Mapping[str, Any]) -> dict[str, str]:
        """The keys of a clip's stages."""
        film = self.film_of(clip["clip"])
        return self.keys.clip(clip["clip"], film.about, self.keys.film(film.sha256, film.about))

    def has_files(self, clip: Mapping[str, Any]) -> bool:
        """Whether all files of a kept clip are there, made by the present stages."""
        film, evidence, made = self.film_of(clip["clip"]), self.evidence(clip["clip"]), Made()
        keys = self.keys.film(film.sha256, film.about) | self.keys_of(clip)
        folder = self.layout.clip(film.sha256, clip["clip"])
        return all(
            made.has(folder, stage, keys[stage.name])
            for stage in make_stages(self.settings)
            if stage.keep and evidence.get(stage.name, {}).get("status") == OK
        )

    def prompt(self, clip: Mapping[str, Any]) -> str:
        """The caption of a clip."""
        return self.evidence(clip["clip"])["caption"]["prompt"]
