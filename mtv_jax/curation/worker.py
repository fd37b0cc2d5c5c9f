"""Runs the stages on one film and its clips, in any process, and tells of each outcome as soon as there is one."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtv_jax.curation.jobs import FILE, Job, Message
from mtv_jax.curation.ledger import ERROR, OK, Row, State, given_up
from mtv_jax.curation.made import Made
from mtv_jax.curation.peak import peak_bytes, reset_peak
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.roles import Evidence, UnusableModelError, scores
from mtv_jax.curation.settings import Layout, Settings
from mtv_jax.curation.soundtrack import remove_soundtrack
from mtv_jax.curation.stages import LAST, Item, Keys, Stage, failure
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import DiskError, remove_leftovers, sha256

Messages = Generator[Message, None, Row | None]
_Found = tuple[Evidence, Mapping[str, Evidence]]


@dataclass(frozen=True)
class Work:
    """Makes the stages of a curation and runs jobs. It is sent to other processes.

    `cards` (stage -> role -> card) are taken once by the parent, since that may mean to hash large files.
    """

    settings: Settings
    layout: Layout
    cards: Mapping[str, Mapping[str, Any]]

    def __call__(self, job: Job) -> Iterator[Message]:
        """Runs a job.

        All errors become rows but those that other films would meet, too: DiskError if the disk is full,
        UnusableModelError.
        """
        run = _Run(self, job)
        return run.messages() if job.film else run.hashed()


class _Run:
    """A job in progress."""

    def __init__(self, work: Work, job: Job):
        self._work, self._job = work, job
        self._retries = work.settings.config.retries
        stages = make_stages(work.settings)
        self._maker = Keys(stages, work.cards)
        stages = [stage for stage in stages if job.kept is not None or stage.name not in LAST]
        self._film_stages = [stage for stage in stages if stage.scope == "film"]
        self._clip_stages = [stage for stage in stages if stage.scope == "clip"]
        self._state, self._made = State((*job.rows, *job.errors)), Made()
        self._film = Item(job.film, job.path, work.layout.film(job.film), job.about)
        self._keys = self._maker.film(job.film, job.about)

    def hashed(self) -> Iterator[Message]:
        """Hashes the file."""
        path = self._job.path

        def attempt() -> _Found:
            return scores(sha256=sha256(path), bytes=path.stat().st_size), {}

        yield from self._tries(FILE, self._job.source, self._job.key, attempt)

    def messages(self) -> Iterator[Message]:
        """Runs the stages."""
        whole = yield from self._film_messages()
        remove_soundtrack(self._film.folder)
        for clip in self._clips().values() if whole else ():
            yield from self._finish(clip)

    def _film_messages(self) -> Generator[Message, None, bool]:
        """Runs the stages of the film; whether those of its clips can run."""
        for stage in self._film_stages:
            row = self._state.row(self._film.id, stage.name, self._keys[stage.name])
            if row is None or self._lacks_files(stage):
                row = yield from self._run(stage, self._film, self._keys[stage.name], self._clips())
            if row is None and not stage.optional:
                return False
            self._film = self._with_evidence(self._film, stage, row, self._keys)
        return True

    def _finish(self, clip: Item) -> Iterator[Message]:
        """Runs the stages of a clip."""
        keys = self._clip_keys(clip)
        remove_leftovers(clip.folder)
        for stage in self._clip_stages:
            row = self._state.row(clip.id, stage.name, keys[stage.name])
            if row is None or not self._made.has(clip.folder, stage, keys[stage.name]):
                needed = set(stage.needs) & {*keys, *self._keys}
                if all(clip.evidence.get(name, {}).get("status") == OK for name in needed):
                    row = yield from self._run(stage, clip, keys[stage.name], {})
                    for name in stage.removes if row else ():
                        shutil.rmtree(clip.folder / name, ignore_errors=True)
            clip = self._with_evidence(clip, stage, row, keys)

    def _clips(self) -> dict[str, Item]:
        """The clips to work on, with what the film's stages say of them."""
        found: dict[str, dict[str, Any]] = {}
        for stage in self._film_stages:
            key = self._keys[stage.name]
            for clip in self._state.clips(self._film.id, stage.name, key):
                row = self._state.row(clip, stage.name, key)
                found.setdefault(clip, {})[stage.name] = row and row["evidence"]
            if (failed := self._failure(stage, key)) is not None:
                for evidence in found.values():
                    evidence[stage.name] = failed
        kept = self._job.kept
        return {
            clip: Item(clip, self._film.film, self._film.folder / clip, self._film.about, evidence)
            for clip, evidence in found.items()
            if "clips" in evidence and (kept is None or clip in kept)
        }

    def _clip_keys(self, clip: Item) -> dict[str, str]:
        return self._maker.clip(clip.id, self._job.about, self._keys)

    def _lacks_files(self, stage: Stage) -> bool:
        """Whether a file that a stage of films made is gone, and needed."""
        lacking = [clip for clip in self._clips().values() if self._lacks(clip, stage)]
        if lacking and self._job.kept is not None and stage.keep:
            return True
        return any(self._is_read(stage, clip) for clip in lacking)

    def _lacks(self, clip: Item, stage: Stage) -> bool:
        found = clip.evidence.get(stage.name, {}).get("status") == OK
        return found and not self._made.has(clip.folder, stage, self._keys[stage.name])

    def _is_read(self, stage: Stage, clip: Item) -> bool:
        """Whether a stage that needs `stage` has yet to run on a clip, or on its film."""
        readers = [s for s in (*self._film_stages, *self._clip_stages) if stage.name in (*s.needs, *s.reads)]
        keys = {**self._keys, **self._clip_keys(clip)}
        return any(
            self._state.row(clip.id, s.name, keys[s.name]) is None and not self._is_blocked(s, clip, keys)
            for s in readers
        )

    def _is_blocked(self, stage: Stage, clip: Item, keys: Mapping[str, str]) -> bool:
        """Whether a stage without an outcome has failed too often, or needs what is not there and will not be."""
        if given_up(self._state.errors(keys[stage.name]), self._retries):
            return True
        stages = {s.name: s for s in (*self._film_stages, *self._clip_stages)}
        for name in stage.needs:
            if name in stages:
                row = self._state.row(clip.id, name, keys[name])
                row = row or self._state.row(self._film.id, name, keys[name])
                if row["status"] != OK if row else self._is_blocked(stages[name], clip, keys):
                    return True
        return False

    def _run(self, stage: Stage, item: Item, key: str, clips: Mapping[str, Item]) -> Messages:
        """Runs a stage on an item until it succeeds or has failed too often; its row, or None."""

        def attempt() -> _Found:
            whole = stage.scope == "film"
            if stage.files:
                self._made.begin(item.folder.glob("*/") if whole else [item.folder], stage)
            outcome = stage.run(item, clips)
            if stage.files:
                folders = [item.folder / clip for clip in outcome.clips] if whole else [item.folder]
                self._made.end(folders, stage, key)
            return outcome.evidence, outcome.clips

        return (yield from self._tries(stage.name, item.id, key, attempt))

    def _tries(self, stage: str, item: str, key: str, attempt: Callable[[], _Found]) -> Messages:
        common = {"film": self._film.id, "stage": stage, "key": key}
        while not given_up(self._state.errors(key), self._retries):
            yield Message(item, stage, key)
            reset_peak()
            started = time.monotonic()
            try:
                evidence, clips = attempt()
            except (DiskError, UnusableModelError):
                raise
            except Exception as error:
                reason = _reason(error, self._job.path)
                row = {"item": item, **common, "status": ERROR, "reason": reason}
                yield self._told(item, stage, key, [{**row, "final": isinstance(error, UserError)}])
                continue
            cost = {"seconds": round(time.monotonic() - started, 4), "peak_bytes": peak_bytes()}
            rows = [_row(clip, common, found) for clip, found in clips.items()]
            rows.append(_row(item, common, evidence) | cost)
            yield self._told(item, stage, key, rows)
            return rows[-1]
        return None

    def _failure(self, stage: Stage, key: str) -> Evidence | None:
        """The evidence of a stage without which the curation goes on, if it has failed too often."""
        errors = self._state.errors(key)
        if stage.optional and given_up(errors, self._retries):
            return failure(stage, errors[-1]["reason"])
        return None

    def _with_evidence(self, item: Item, stage: Stage, row: Row | None, keys: Mapping[str, str]) -> Item:
        evidence = self._failure(stage, keys[stage.name]) if row is None else row["evidence"]
        if evidence is None:
            return item
        return dataclasses.replace(item, evidence={**item.evidence, stage.name: evidence})

    def _told(self, item: str, stage: str, key: str, rows: list[dict[str, Any]]) -> Message:
        for row in rows:
            self._state.add(row)
        return Message(item, stage, key, tuple(rows))


def _row(item: str, common: Mapping[str, Any], evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {"item": item, **common, "status": evidence["status"], "evidence": dict(evidence)}


def _reason(error: Exception, path: Path) -> str:
    """What an error says, without the file's folder and name."""
    text = " ".join(str(error).split()).removeprefix(f"{path}: ").replace(f"{path.parent}/", "")
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
