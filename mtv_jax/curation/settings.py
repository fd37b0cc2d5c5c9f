"""What clips a curation makes, by which networks, and where its files are."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.curation.config import CurateConfig
from mtv_jax.data.manifests import TEST
from mtv_jax.io.clip_size import ClipSize, rate_of
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object, write_json
from mtv_jax.io.trees import from_dict

MTV_SKIP = 3
"""Frames that MTV leaves out at the start of a video, of which it takes every frame."""


def default_skip(size: ClipSize) -> int:
    """Frames to leave out at the start of a film: as MTV does at the films' own rate, else none."""
    return MTV_SKIP if size.native_rate else 0


@dataclass(frozen=True)
class Settings:
    """A curation. Its stages depend on parts of it, so that work is redone only where a change matters.

    Attributes:
      videos: a folder of films, or a `sources.jsonl`.
      size: frames, frame rate, height and width of a clip.
      stride: frames from one clip's start to the next within a shot; less than the clip's length makes them overlap.
      skip: frames at the start of a film that no clip has (MTV: `MTV_SKIP`), at the clips' rate, as `stride` is.
      encoders: a pipeline folder or preset; `vae` replaces its autoencoder.
      frames_only: keep pixels (to train an autoencoder) instead of latents, text and sound.
      separator: what separates the sound.
      normalize_loudness: whether speech is brought to one level (`mtv_jax.audio.loudness`), as `sample` does.
      config: how clips are found and judged.
    """

    videos: str
    size: ClipSize
    stride: int
    separator: str
    skip: int = 0
    encoders: str = "tiny"
    vae: str | None = None
    frames_only: bool = False
    normalize_loudness: bool = True
    config: CurateConfig = field(default_factory=CurateConfig)

    def __post_init__(self):
        self.size.check(frames=1)  # what an autoencoder needs is checked with it: `making.clip_size`
        if self.stride < 1:
            raise UserError(f"stride {self.stride}: must be at least 1 frame")
        if self.skip < 0:
            raise UserError(f"skip {self.skip}: must be 0 frames or more")

    def rate(self, native: Fraction) -> Fraction:
        """Frames a second of the clips of a film whose own rate is `native`."""
        return native if self.size.native_rate else self.size.fps

    def to_json(self) -> dict[str, Any]:
        """JSON, which `load_settings` reads."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return values | {"size": self.size.to_json(), "config": self.config.to_json()}


@dataclass(frozen=True)
class Layout:
    """The files of a curation: shards in its folder, as training reads them; what they are made from in `work/`."""

    out: Path

    @property
    def work(self) -> Path:
        """What the shards are made from."""
        return self.out / "work"

    @property
    def settings(self) -> Path:
        """The settings of the last run."""
        return self.work / "settings.json"

    @property
    def cards(self) -> Path:
        """The cards of the models of each stage."""
        return self.work / "cards.json"

    @property
    def films(self) -> Path:
        """The films, as the last run found them."""
        return self.work / "films.json"

    @property
    def ledger(self) -> Path:
        """What the stages found (`mtv_jax.curation.ledger`)."""
        return self.work / "ledger.jsonl"

    @property
    def verdicts(self) -> Path:
        """A row for each film and each clip."""
        return self.work / "verdicts.jsonl"

    @property
    def evidence(self) -> Path:
        """What verdicts need of the ledger (`mtv_jax.curation.store`)."""
        return self.work / "evidence.msgpack"

    @property
    def alike(self) -> Path:
        """Clips that repeat each other (`mtv_jax.curation.filters.duplicates`)."""
        return self.work / "alike.json"

    @property
    def packing(self) -> Path:
        """How many clips the last `pack` held out, if it was told."""
        return self.work / "packing.json"

    @property
    def test(self) -> Path:
        """The shards of what is held out."""
        return self.out / TEST

    @property
    def report(self) -> Path:
        """The page of `curate report`."""
        return self.out / "report.html"

    def film(self, film: str) -> Path:
        """The folder of a film's clips, by its id."""
        return self.work / "films" / film[:2] / film

    def all_films(self) -> list[Path]:
        """The folders of films that are there, of the present sources or not."""
        return sorted(path for path in (self.work / "films").glob("*/*") if path.is_dir())

    def clip(self, row: Mapping[str, Any]) -> Path:
        """The folder of a clip's files, of its row of the verdicts."""
        return self.film(row["film"]) / row["clip"]


def save_settings(layout: Layout, settings: Settings) -> None:
    """Writes `work/settings.json`."""
    write_json(layout.settings, settings.to_json())


def load_settings(layout: Layout) -> Settings:
    """The settings of a curation. Raises UserError if the folder has none, or damaged ones."""
    if not layout.settings.exists():
        raise UserError(f"{layout.out}: no curation in it; `python -m mtv_jax.curate run --out` starts one")
    stored = read_json_object(layout.settings)
    with errors_in_file(layout.settings):
        size = stored["size"]
        stored["size"] = ClipSize(**{**size, "fps": rate_of(size["fps"], "fps")})
        stored["config"] = from_dict(CurateConfig, stored["config"], "config")
        return Settings(**stored)
