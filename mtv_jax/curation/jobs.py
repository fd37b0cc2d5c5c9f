"""Jobs, which executors give to workers, and what workers say of them. Imports nothing heavy."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtv_jax.curation.ledger import Row

FILE = "file"
"""The stage before all others: the SHA-256 of a source's file. Its items are sources, not films."""


@dataclass(frozen=True)
class Job:
    """Work on one source.

    Attributes:
      source: its id.
      path: its file.
      about: what is known of it.
      film: SHA-256 of the file; "": it is to be found, and no more.
      key: of the stage `FILE`.
      kept: the clips to finish, by id, with all the files that a data set has of them; None: run the stages that judge,
        on all clips.
      rows: the outcomes so far of the film and its clips.
      errors: the failures so far.
    """

    source: str
    path: Path
    about: Mapping[str, Any]
    film: str = ""
    key: str = ""
    kept: tuple[str, ...] | None = None
    rows: tuple[Row, ...] = ()
    errors: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Message:
    """From a worker: rows for the ledger or, if there are none, that a stage begins."""

    item: str
    stage: str
    key: str
    rows: tuple[Row, ...] = ()


Worker = Callable[[Job], Iterator[Message]]
"""Runs a job. It is sent to other processes; `mtv_jax.curation.worker.Work` is one."""
