"""What the subcommands of `python -m mtv_jax.curate` do with a curation's folder."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtv_jax.curation.arrays import forget_lost
from mtv_jax.curation.budget import estimate
from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.engine import MakeExecutor, run
from mtv_jax.curation.making import locked
from mtv_jax.curation.pack import PackConfig, pack
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.session import Session
from mtv_jax.curation.settings import Layout, Settings, load_settings, save_settings
from mtv_jax.curation.sources import Sources, sources_of
from mtv_jax.curation.summaries import funnel, plan_lines
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.data.manifests import MANIFEST
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output
from mtv_jax.io.limits import check_room


class BadFilmsError(Exception):
    """No film could be used, or (`strict`) one could not.

    Attributes:
      left_out: source -> reason.
    """

    def __init__(self, message: str, left_out: Mapping[str, str]):
        super().__init__(message)
        self.left_out = dict(left_out)


def run_and_pack(
    out: Path,
    settings: Settings,
    make_executor: MakeExecutor,
    *,
    strict: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    force: bool = False,
    packing: PackConfig | None = None,
) -> dict[str, Any]:
    """Runs a curation, or goes on with it, and packs what it keeps; the manifest.

    Args:
      out: its folder.
      settings: what clips to make.
      make_executor: makes what runs the work.
      strict: whether a single film that cannot be used is an error.
      overwrite: whether shards that were made with other settings, or otherwise, may be replaced.
      retry_failed: whether what has failed too often is tried again.
      force: whether to ignore that the disk has too little room.
      packing: see `mtv_jax.curation.pack`.

    Raises:
      BadFilmsError: see there.
      UserError: nothing can be done, or the output may not be replaced.
    """
    layout = Layout(out)
    make_stages(settings)  # raises UserError for models that cannot be their stage's
    check_shards(layout, settings, overwrite=overwrite)
    sources = find_sources(settings.videos, out)
    check_room(out, estimate(settings, sources.found).left(layout, settings), force=force)
    with locked(out):
        save_settings(layout, settings)
        forget_lost(layout)
        verdicts = run(layout, settings, sources, make_executor, retry_failed=retry_failed)
        left_out = {**_videos(sources.skipped), **verdicts.left_out}
        unusable = {**_videos(sources.skipped), **_failed(verdicts)}
        if not verdicts.kept:
            raise BadFilmsError(
                f"{settings.videos}: no clip of its {len(sources.found)} films is kept", left_out
            )
        if strict and unusable:
            raise BadFilmsError(f"{settings.videos}: {len(unusable)} films cannot be used", unusable)
        return pack(Session.open(layout), verdicts, packing or PackConfig(), force=force)


def check_shards(layout: Layout, settings: Settings, *, overwrite: bool) -> None:
    """Raises UserError if there are shards that these settings did not make, unless `overwrite`."""
    check_output(layout.out, folder=True)
    if overwrite or not (layout.out / MANIFEST).exists():
        return
    if not layout.settings.exists():
        check_output(layout.out, folder=True, overwrite=False, marks=[MANIFEST])
    before, now = dict(_leaves(load_settings(layout).to_json())), dict(_leaves(settings.to_json()))
    changed = [key for key in sorted({*before, *now}) if now.get(key) != before.get(key)]
    if changed:
        values = ", ".join(f"{key} {before.get(key)!r} (now {now.get(key)!r})" for key in changed)
        raise UserError(
            f"{layout.out}: its last `run` or `decide` had {values}; give the same, --overwrite, or another --out"
        )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of nested settings, such as `config.filters.min_dbfs`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def find_sources(videos: str, out: Path | None = None) -> Sources:
    """The films of a folder or a list, without what is in `out`. What is no film is named on stderr.

    Raises UserError if there is none.
    """
    sources = sources_of(videos)
    if out is not None:
        inside = out.resolve()
        found = tuple(source for source in sources.found if not source.path.resolve().is_relative_to(inside))
        skipped = {
            name: reason
            for name, reason in sources.skipped.items()
            if not (Path(videos) / name).resolve().is_relative_to(inside)
        }
        sources = Sources(found, skipped)
    for name, reason in sources.skipped.items():
        print(f"ignored: {name} ({reason})", file=sys.stderr)
    if not sources.found:
        raise UserError(f"{videos}: no video in it")
    return sources


def plan_run(settings: Settings) -> str:
    """What a run would do: films, clips and bytes about, licences, and models that are missing."""
    sources = find_sources(settings.videos)
    missing = []
    for stage in make_stages(settings):
        try:
            stage.cards()
        except UserError as error:
            missing.append(f"{stage.name}: {error}")
    return "\n".join(plan_lines(settings, sources, missing))


def decide_again(layout: Layout, config: CurateConfig) -> str:
    """Judges with other thresholds, which `pack` and `run` then use; the funnel. No model runs."""
    session = Session.open(layout)
    settings = dataclasses.replace(session.settings, config=config)
    same_size = config.size == session.settings.config.size
    if not same_size or make_stages(settings) != make_stages(session.settings):
        raise UserError(
            "these values change what is measured, not only what is kept: `python -m mtv_jax.curate run` with them"
        )
    with locked(layout.out):
        save_settings(layout, settings)
        verdicts = Session.open(layout).verdicts()
        verdicts.write(layout.verdicts)
    return funnel(verdicts)


def pack_again(layout: Layout, config: PackConfig) -> dict[str, Any]:
    """Packs the kept clips anew."""
    with locked(layout.out):
        session = Session.open(layout)
        return pack(session, session.verdicts(), config)


def _videos(skipped: Mapping[str, str]) -> dict[str, str]:
    """Of what is not a source, the videos whose descriptions are bad."""
    return {name: reason for name, reason in skipped.items() if ".json" in reason}


def _failed(verdicts: Verdicts) -> dict[str, str]:
    """Source -> reason of films that could not be used; copies of others are no errors."""
    return {
        film["source"]: film["reason"]
        for film in verdicts.films
        if film["reason"] is not None and film["rejected"] != "the same file as another"
    }
