"""Runs a curation: hashes films, judges their clips, and finishes the kept ones. It may be stopped at any time.

The ledger has every outcome, so that the same command goes on where it was stopped, and redoes what has changed only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mtv_jax.curation.cleaning import delete_old_clips, delete_stems
from mtv_jax.curation.executors import Event, Executor
from mtv_jax.curation.inputs import Film, file_key, known_films, write_films
from mtv_jax.curation.jobs import Job, Message, Worker
from mtv_jax.curation.ledger import ERROR, OK, RETRY, Ledger, Row
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.roles import NotInstalledError
from mtv_jax.curation.settings import Layout, Settings
from mtv_jax.curation.sources import Sources
from mtv_jax.curation.stages import Stage, readers
from mtv_jax.curation.store import Store
from mtv_jax.curation.verdicts import Verdicts, judge
from mtv_jax.curation.worker import Work
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.io.jsonl import RowWriter
from mtv_jax.io.progress import progress

MakeExecutor = Callable[[Worker], Executor]

_DEATHS = 3
"""Workers that may die before their first stage; more do not come from the films."""


def take_cards(settings: Settings) -> dict[str, dict[str, Any]]:
    """Stage -> role -> card of its models: none of an optional stage whose package is not installed.

    Raises UserError for whatever else is missing: the package of another stage, a file of weights, a program.
    """
    return {stage.name: _cards(stage) for stage in make_stages(settings)}


def _cards(stage: Stage) -> dict[str, Any]:
    try:
        return dict(stage.cards())
    except NotInstalledError:
        if stage.optional:
            return {}
        raise


def run(
    layout: Layout,
    settings: Settings,
    sources: Sources,
    make_executor: MakeExecutor,
    *,
    retry_failed: bool = False,
) -> Verdicts:
    """Runs whatever is not done yet, and returns the verdicts.

    Args:
      layout: of the curation's folder, which the caller has locked.
      settings: what clips to make.
      sources: the films.
      make_executor: makes what runs jobs; it is called if there is anything to do.
      retry_failed: whether what has failed too often is tried again.

    Raises:
      UserError: a package or weights are missing, the disk is full, or workers die without a film being at fault.
    """
    cards = take_cards(settings)
    write_json(layout.cards, cards)
    work = Work(settings, layout, cards)
    with RowWriter(layout.ledger) as writer, _Pool(work, make_executor) as pool:
        engine = _Engine(work, Ledger(layout.ledger), writer, pool)
        if retry_failed:
            engine.forgive()
        films = engine.hash_films(sources)
        write_films(layout.films, films)
        engine.judge_films(films)
        verdicts = engine.verdicts(films)
        delete_stems(layout, verdicts)
        delete_old_clips(layout, films, verdicts, unread=sources.unread)
        engine.finish_clips(films, verdicts)
        verdicts = engine.verdicts(films)
        delete_stems(layout, verdicts)
    verdicts.write(layout.verdicts)
    return verdicts


class _Pool:
    """An executor that is made when it is first needed, and closed at the end."""

    def __init__(self, work: Work, make: MakeExecutor):
        self._work, self._make = work, make
        self._executor: Executor | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        if jobs:
            self._executor = self._executor or self._make(self._work)
            yield from self._executor.run(jobs)

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.close()


@dataclass(frozen=True)
class _Loaded(Sequence[Job]):
    """Jobs with what is known, which is read as each is taken, since that of all films is large."""

    jobs: Sequence[Job]
    load: Callable[[Job], Job]

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, number: int) -> Job:  # pyright: ignore[reportIncompatibleMethodOverride] - no slices
        return self.load(self.jobs[number])


@dataclass
class _Engine:
    """The state of a run: only this process writes the ledger."""

    work: Work
    ledger: Ledger
    writer: RowWriter
    pool: _Pool

    def record(self, rows: Iterable[Row]) -> None:
        """Rows for the ledger."""
        self.writer.append(rows)
        self.ledger.refresh()

    def forgive(self) -> None:
        """Lets what has failed be tried again, with the stages that went on without it."""
        stages = make_stages(self.work.settings)
        went_on = {stage.name: readers(stages, stage.name) for stage in stages if stage.optional}
        states = map(self.ledger.state, self.ledger.films)
        forget = [outcome for state in states for outcome in state.outcomes_after(went_on)]
        row = {"item": "", "film": "", "stage": RETRY, "key": "", "status": OK}
        self.record([row | {"forget": forget}])

    def hash_films(self, sources: Sources) -> list[Film]:
        """The films of the sources; those whose files were hashed before and have not changed are not read."""
        retries = self.work.settings.config.retries
        known = {film.source for film in known_films(sources.found, self.ledger.files, retries)}
        jobs = [
            Job(source.id, source.path, {}, key=file_key(source.path))
            for source in sources.found
            if source.id not in known
        ]
        self._complete(jobs, "hashing films")
        return known_films(sources.found, self.ledger.files, retries)

    def judge_films(self, films: Sequence[Film]) -> None:
        """Runs the stages that judge, on all clips."""
        self._complete([self._job(film) for film in films if not film.problem], "judging films")

    def finish_clips(self, films: Sequence[Film], verdicts: Verdicts) -> None:
        """Runs the last stages, on the clips that are kept so far."""
        kept: dict[str, list[str]] = {}
        for clip in verdicts.kept:
            kept.setdefault(clip["source"], []).append(clip["clip"])
        jobs = [
            replace(self._job(film), kept=tuple(kept[film.source])) for film in films if film.source in kept
        ]
        self._complete(jobs, "finishing clips of films")

    def verdicts(self, films: Sequence[Film]) -> Verdicts:
        """By what is known now."""
        layout, settings = self.work.layout, self.work.settings
        known = Store(layout, settings, films, make_stages(settings), self.work.cards)
        return judge(known, settings.config, layout.alike)

    def _job(self, film: Film) -> Job:
        return Job(film.source, Path(film.path), film.about, film.sha256, file_key(Path(film.path)))

    def _with_outcomes(self, job: Job) -> Job:
        if not job.film:
            return replace(job, errors=tuple(self.ledger.files.errors(job.key)))
        state = self.ledger.state(job.film)
        return replace(job, rows=state.rows_of(job.film), errors=state.all_errors(job.film))

    def _complete(self, jobs: Sequence[Job], title: str) -> None:
        """Runs jobs in which there is anything to do, again where a worker dies, until none is left."""
        waiting = [job for job in jobs if self._has_work(job)]
        if waiting:
            for _ in progress(self._ends(waiting), title, len(waiting)):
                pass

    def _has_work(self, job: Job) -> bool:
        return next(iter(self.work(self._with_outcomes(job))), None) is not None

    def _ends(self, waiting: list[Job]) -> Iterator[Job]:
        """Jobs as they end."""
        deaths = 0
        while waiting:
            again: list[Job] = []
            begun: dict[str, Message] = {}
            for event in self.pool.run(_Loaded(waiting, self._with_outcomes)):
                if event.message is not None and event.message.rows:
                    self.record(event.message.rows)
                    begun.pop(event.job.source, None)
                elif event.message is not None:
                    begun[event.job.source] = event.message
                elif event.died is None:
                    yield event.job
                else:
                    deaths += self._bury(event, begun.pop(event.job.source, None))
                    if deaths > _DEATHS:
                        raise UserError(f"workers die before they begin ({event.died}); see the lines above")
                    again.append(replace(event.job, rows=(), errors=()))
            waiting = again

    def _bury(self, event: Event, begun: Message | None) -> int:
        """Records of which item a worker died; 1 if it had not begun any."""
        if begun is None:
            return 1
        common = {"item": begun.item, "film": event.job.film, "stage": begun.stage, "key": begun.key}
        self.record([{**common, "status": ERROR, "reason": event.died, "final": False}])
        return 0
