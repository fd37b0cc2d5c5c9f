"""Separates many mixes: finds them in files and folders, names their results, and continues what was stopped."""

import dataclasses
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from av.error import FFmpegError
from soundfile import SoundFileError

from mtv_jax.audio.separation.files import REPORT, RESULTS, DemixFiles
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import DiskError, existing_file, shown
from mtv_jax.io.limits import check_room
from mtv_jax.io.progress import progress
from mtv_jax.io.sound_folders import sounds_in

_BAD = (UserError, FFmpegError, SoundFileError, OSError, ValueError, ArithmeticError, LookupError)
"""What a damaged or strange file may raise."""


@dataclasses.dataclass(frozen=True)
class Mixes:
    """The mixes in files and folders.

    Attributes:
      files: path of each, by that of its result within the output folder; `.` if one file was given alone.
      ignored: the reason why something in a folder is not a mix, by its path.
    """

    files: dict[Path, Path]
    ignored: dict[Path, str]

    @property
    def is_single(self) -> bool:
        """Whether one file was given alone."""
        return Path() in self.files


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a mix: the report of its result (`DemixFiles.write`), or else the error."""

    job: DemixFiles
    report: dict[str, Any] | None = None
    error: Exception | None = None

    @property
    def reason(self) -> str:
        """The error in a line that names the mix."""
        text = str(self.error)
        if not isinstance(self.error, UserError):
            text = f"{type(self.error).__name__}: {text}"
        mix = str(self.job.mix)
        return shown(" ".join((text if mix in text else f"{mix}: {text}").split()))


def find_mixes(given: Sequence[str | os.PathLike]) -> Mixes:
    """Finds the mixes in files, and in folders and those below them.

    Results are named by the files' paths without suffix, relative to the folder given, or to the common parent of all
    that is given; with suffix where two would have one name. Tracks that `DemixFiles` wrote are ignored.

    Raises UserError if something does not exist, or a folder has no sound in it.
    """
    if len(given) == 1 and not Path(given[0]).is_dir():
        return Mixes({Path(): existing_file(given[0])}, {})
    files: dict[Path, Path] = {}
    ignored: dict[Path, str] = {}
    for path in map(Path, given):
        found, others = sounds_in(path) if path.is_dir() else ([existing_file(path)], {})
        tracks = {file: f"a track, of {REPORT} beside it" for file in found if _is_track(file)}
        ignored |= others | tracks
        files |= {Path(os.path.abspath(file)): file for file in found if file not in tracks}
    if not files:
        raise UserError(f"{given[0]}: no mix in it, only tracks that were separated before")
    root = _common_parent([Path(path) for path in given])
    names = _result_names([file.relative_to(root) for file in files])
    return Mixes(dict(zip(names, files.values(), strict=True)), ignored)


def check_jobs(jobs: Sequence[DemixFiles], *, overwrite: bool) -> dict[DemixFiles, dict[str, Any]]:
    """Checks the outputs of all jobs before any work, and returns the reports of those finished before.

    Raises UserError (`DemixFiles.check`).
    """
    old = [job for job in jobs if (job.out / REPORT).exists()]
    reports = {
        job: job.finished() for job in (progress(old, "comparing with earlier results") if old else [])
    }
    finished = {job: report for job, report in reports.items() if report is not None}
    beside: dict[Path, list[Path]] = {}
    for job in jobs:
        beside.setdefault(job.mix.resolve().parent, []).append(job.mix)
    for job in jobs:
        if job not in finished:
            job.check(overwrite=overwrite, inputs=beside.get(job.out.resolve(), []))
    return finished


def run_jobs(
    jobs: Sequence[DemixFiles], finished: dict[DemixFiles, dict[str, Any]], *, force: bool
) -> Iterator[Outcome]:
    """Separates the mixes one by one, except those finished before, and yields what became of each.

    Raises UserError for what concerns all of them: the separator's package or weights are missing, or the disk has no
    room (unless `force`).
    """
    for number, job in enumerate(jobs, 1):
        if job in finished:
            yield Outcome(job, finished[job])
            continue
        job.method.cards()
        title = "separating" if len(jobs) == 1 else f"{number}/{len(jobs)} {shown(job.mix.name)}"
        try:
            needed = job.num_bytes
        except _BAD as error:
            yield Outcome(job, error=error)
            continue
        check_room(job.out, needed, force=force)
        try:
            outcome = Outcome(job, job.write(title))
        except DiskError:
            raise  # it says nothing of the mix
        except _BAD as error:
            outcome = Outcome(job, error=error)
        yield outcome


def _is_track(file: Path) -> bool:
    return file.name in RESULTS and (file.parent / REPORT).is_file()


def _common_parent(given: Sequence[Path]) -> Path:
    """The folder given, or the one that has all files and folders given."""
    folders = [os.path.abspath(path if path.is_dir() else path.parent) for path in given]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:
        raise UserError(
            f"{given[0]}: on another drive than other inputs; separate each drive's alone"
        ) from error


def _result_names(files: Sequence[Path]) -> list[Path]:
    """Names of results, of relative paths: without suffix, unless another has the same name then.

    Case is ignored, as some file systems do. Bytes that are not UTF-8 are escaped: libsndfile's binding needs it.
    """
    files = [Path(os.fsencode(file).decode("utf-8", "backslashreplace")) for file in files]
    names = [file.with_suffix("") for file in files]
    while True:
        counts = Counter(map(_folded, names))
        kept = [file if counts[_folded(name)] > 1 else name for file, name in zip(files, names, strict=True)]
        if kept == names:
            return names
        names = kept


def _folded(name: Path) -> str:
    return unicodedata.normalize("NFC", str(name)).casefold()
