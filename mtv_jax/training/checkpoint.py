"""Checkpoints of a run, by Orbax: written in the background, committed by a rename, the last few kept.

This module is the only one that uses Orbax. A checkpoint `workdir/checkpoints/<step>/` holds `params` (trainable and
frozen), `ema`, `optimizer` and `run` (the config, the step), and hashes of all these files
(`mtv_jax.training.checkpoint_hashes`). The position of the data reader follows from the step, so a run may resume with
another number of processes.
"""

import errno
import functools
import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh, SingleDeviceSharding

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.pipelines.presets import CHECKPOINTS
from mtv_jax.sharding.distributed import gather
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.training.checkpoint_hashes import check_hashes, is_hashed, write_hashes
from mtv_jax.training.failures import (
    DamagedError,
    agreed,
    first_line,
    is_full_disk,
    report_out_of_memory,
    retried,
)
from mtv_jax.training.state import TrainState, joined
from mtv_jax.typing import Params

_TEMPORARY = "*.orbax-checkpoint-tmp"
_SETTLE_SECONDS = 10.0

T = TypeVar("T")


class Checkpoints:
    """The checkpoints of one run; a context manager, whose exit waits for pending writes.

    With several processes, all read together: a checkpoint that one of them cannot read after several attempts raises
    DamagedError in all. A full disk, detected before or during a write, raises a UserError that names the last good
    checkpoint.
    """

    def __init__(self, workdir: Path, *, keep: int = 3, read_only: bool = False):
        self.directory = Path(workdir).absolute() / CHECKPOINTS
        self._saving: int | None = None
        self._hashing: threading.Thread | None = None
        self._ran_full = False
        _quiet_orbax()
        with self._report_failures("opening checkpoints"):
            # A reader must not clean up: a live run may still be writing.
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep, cleanup_tmp_directories=not read_only, read_only=read_only
            )
            if not read_only:
                self.directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self.directory, options=options)

    def latest(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return max(self._steps_here(), default=None)

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, newest first, as seen by the first process."""
        return gather(self._steps_here())[0]

    def set_aside(self, step: int) -> None:
        """Renames a damaged checkpoint, so that it is no longer listed."""

        def rename() -> None:
            if jax.process_index() == 0:
                _rename_to_free(self.directory / str(step), f"damaged-{step}")

        agreed(rename)
        self._manager.reload()

    def is_hashed(self, step: int) -> bool:
        """Whether every file of a checkpoint is hashed; otherwise damage may go undetected."""
        return self._read(step, lambda _: retried(lambda: is_hashed(self._path(step))))

    def run(self, step: int) -> dict[str, Any]:
        """The saved metadata of the run: `config`, `step`, `versions`."""
        self._check(step, ["run"])
        handler = ocp.JsonCheckpointHandler()
        return self._read(step, lambda folder: retried(lambda: dict(handler.restore(folder / "run"))))

    def save(self, step: int, state: TrainState, run: dict[str, Any]) -> None:
        """Starts writing the state after `step` steps; waits for the previous save first.

        The arrays are copied before this returns, so the state may be donated immediately. The committed files are
        hashed in the background.
        """
        self.wait()
        self.check_space(state)
        items: dict[str, Any] = {name: ocp.args.StandardSave(tree) for name, tree in _items(state).items()}
        items["run"] = ocp.args.JsonSave(run)
        with self._report_failures(f"saving step {step}"):
            self._saving = step
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)
        self._hashing = threading.Thread(target=self._hash, args=(step,), daemon=True)
        self._hashing.start()

    def restore(self, step: int, shapes: TrainState, shardings: TrainState) -> TrainState:
        """The state saved at `step`, placed by `shardings` (of any mesh), after verifying all files."""
        self._check(step)
        target = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings
        )

        def read(folder: Any) -> TrainState:
            items = {name: _read_arrays(folder / name, tree) for name, tree in _items(target).items()}
            return TrainState(ema=items.get("ema"), **items["params"], **items["optimizer"])

        return self._read(step, read)

    def shapes(self, item: str, step: int) -> Any:
        """Shapes and dtypes of one item of a checkpoint, as nested dicts; None if it has no such item."""

        def read(folder: Any) -> Any:
            if not (folder / item).is_dir():
                return None
            # Not the manager's `item_metadata`: that is None for items it has neither saved nor restored.
            handler = ocp.StandardCheckpointHandler()
            saved: Any = retried(lambda: handler.metadata(folder / item)).tree
            return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), saved)

        return self._read(step, read)

    def read(self, item: str, step: int, mesh: Mesh | None = None) -> Any:
        """One item of a checkpoint as nested dicts of arrays, after verifying its files.

        The arrays are placed on `mesh` by the rules of `mtv_jax.sharding`, or on the first device.
        """
        self._check(step, [item])
        shapes, device = self.shapes(item, step), SingleDeviceSharding(jax.devices()[0])
        places = jax.tree.map(lambda _: device, shapes) if mesh is None else tree_shardings(shapes, mesh)
        target = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, places)
        return self._read(step, lambda folder: _read_arrays(folder / item, target))

    def check_space(self, state: Any) -> None:
        """Raises UserError, in all processes, unless the disk has room for one more checkpoint of `state` (or its
        shapes)."""
        agreed(lambda: self._check_space(state))

    def _check_space(self, state: Any) -> None:
        needed = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise UserError(
                f"{self.directory}: disk full: a checkpoint needs {_size(needed)}, {_size(free)} are free; "
                f"{self._last_good()}; make room and run the same command again"
            )

    def check(self) -> None:
        """Raises the error of a pending save, if there is one."""
        with self._report_failures(f"saving step {self._saving}"):
            self._manager.check_for_errors()

    def wait(self) -> None:
        """Waits until the pending save is committed and hashed."""
        with self._report_failures(f"saving step {self._saving}"):
            self._manager.wait_until_finished()
            self._saving = None
        self._wait_for_hashes()

    def describe_last(self) -> str:
        """Describes the newest complete checkpoint, for a message; waits for a pending save."""
        self.wait()
        return self._last_good()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            with self._report_failures(f"saving step {self._saving}"):
                self._manager.close()
        except Exception:
            # An exception already in flight takes precedence.
            if kind is None:
                raise
        finally:
            self._wait_for_hashes()
            if self._ran_full:
                self._discard_late_writes()

    def _path(self, step: int) -> Path:
        return self.directory / str(step)

    def _steps_here(self) -> list[int]:
        return sorted((s for s in self._manager.all_steps() if s != self._saving), reverse=True)

    def _last_good(self) -> str:
        step = self.latest()
        if step is None:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {self._path(step)}"

    def _check(self, step: int, items: Collection[str] | None = None) -> None:
        """Raises DamagedError unless the files of a checkpoint, or of some of its items, are as saved.

        Each process verifies a share of them.
        """

        def check() -> None:
            index, count = jax.process_index(), jax.process_count()
            with self._report_failures(f"reading checkpoint {self._path(step)}"):
                check_hashes(self._path(step), index, count, items=items)

        agreed(check)

    def _read(self, step: int, read: Callable[[Any], T]) -> T:
        """Returns `read(folder)` of a checkpoint's folder, if it succeeds in every process.

        `read` must use Orbax's handlers: a manager's `restore` waits for the other processes and hangs if one fails.
        """

        def reported() -> T:
            with self._report_failures(f"reading checkpoint {self._path(step)}"):
                return read(self._manager.directory / str(step))

        return agreed(reported)

    def _hash(self, step: int) -> None:
        """Writes this process's share of the hashes, once the checkpoint is committed."""
        try:
            self._manager.wait_until_finished()
        except Exception:
            # The saving thread reports it.
            return
        try:
            write_hashes(self._path(step), jax.process_index(), jax.process_count())
        except OSError as error:
            # The checkpoint itself is complete.
            message = (
                f"{self._path(step)}: could not be hashed ({first_line(error)}); it is kept without hashes"
            )
            print(message, file=sys.stderr, flush=True)

    def _wait_for_hashes(self) -> None:
        if self._hashing is not None:
            self._hashing.join()
            self._hashing = None

    @contextmanager
    def _report_failures(self, doing: str) -> Iterator[None]:
        """Converts errors of Orbax to one line: UserError for a full disk or lack of memory, others by their cause.

        TensorStore raises errors of many types, including bare Exceptions. A file that exists but cannot be read (an
        I/O error) is not reported as damaged.
        """
        try:
            with report_out_of_memory(doing):
                yield
        except UserError:
            raise
        except Exception as error:
            if is_full_disk(error):
                self._ran_full = True
                self._discard_partial()
                raise UserError(
                    f"{self.directory}: disk full while {doing}; {self._last_good()}; make room and run the "
                    "same command again"
                ) from error
            if not doing.startswith("reading") or isinstance(error, MemoryError):
                raise
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                reason = error.strerror or first_line(error)
                message = f"{reason} (after several attempts; nothing was changed: run it again)"
                raise OSError(error.errno or errno.EIO, message, doing) from error
            raise DamagedError(
                f"{doing}: damaged, or not written by this program ({first_line(error)})"
            ) from error

    def _discard_partial(self) -> bool:
        """Deletes the partial files of a failed write and returns whether there were any; committed checkpoints have
        another name."""
        paths = list(self.directory.glob(_TEMPORARY))
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)
        return bool(paths)

    def _discard_late_writes(self) -> None:
        """Deletes partial files until none reappear for a while: Orbax does not wait for the writes concurrent with
        the failed one, and each recreates its folder."""
        empty, end = 0, time.monotonic() + _SETTLE_SECONDS
        while empty < 10 and time.monotonic() < end:
            empty = 0 if self._discard_partial() else empty + 1
            time.sleep(0.05)


def load_trained(
    workdir: str | Path, step: int | None = None, *, average: bool = True
) -> tuple[Params, dict[str, Any]]:
    """Parameters of a run's checkpoint on the first device, and the saved metadata of the run.

    Args:
      workdir: of the run.
      step: which checkpoint; defaults to the newest undamaged one; damaged ones are reported on stderr.
      average: the moving average of the weights, where the run keeps one.

    Returns:
      Params, and a dict with `config` (nested dict), `step` and `versions`.
    """
    existing_directory(Path(workdir) / CHECKPOINTS)
    with Checkpoints(Path(workdir), read_only=True) as checkpoints:
        candidates = checkpoints.steps() if step is None else [step]
        if not candidates or not (checkpoints.directory / str(candidates[0])).is_dir():
            raise UserError(
                f"{checkpoints.directory}: no checkpoint{'' if step is None else f' of step {step}'}"
            )
        while True:
            number = candidates.pop(0)
            try:
                return read_params(checkpoints, number, average=average), checkpoints.run(number)
            except DamagedError as error:
                if not candidates:
                    raise
                print(f"{error}: falling back to the previous one", file=sys.stderr, flush=True)


def read_params(
    checkpoints: Checkpoints, step: int, mesh: Mesh | None = None, *, average: bool = True
) -> Params:
    """The parameters of a checkpoint; with `average` their moving average, if there is one.

    They are placed on `mesh` by the rules of `mtv_jax.sharding`, or on the first device. Raises DamagedError.
    """
    params = checkpoints.read("params", step, mesh)
    averaged = average and checkpoints.shapes("ema", step) is not None
    return joined(**params, ema=checkpoints.read("ema", step, mesh) if averaged else None)


def _items(state: TrainState) -> dict[str, Any]:
    """The array items of a checkpoint that hold the state."""
    items = {
        "params": {"params": state.params, "frozen": state.frozen},
        "optimizer": {"step": state.step, "opt_state": state.opt_state},
    }
    return items if state.ema is None else items | {"ema": state.ema}


@functools.cache
def _quiet_orbax() -> None:
    """Silences, for the rest of the process, the log messages of Orbax's threads about errors that Orbax also raises.

    These are its own log of the traceback, asyncio's log of the reads or writes concurrent with the first failed one,
    and the errors of writes that finish after their event loop is closed.
    """

    def is_reported(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return "never retrieved" in message and ("orbax" in message or is_full_disk(record.exc_info))

    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(lambda record: not is_reported(record))
    report = sys.unraisablehook
    sys.unraisablehook = lambda it: None if str(it.exc_value) == "Event loop is closed" else report(it)


def _read_arrays(folder: Any, target: Any) -> Any:
    """The arrays of one item, with the shapes, dtypes and shardings of `target`."""
    handler = ocp.StandardCheckpointHandler()
    return retried(lambda: handler.restore(folder, args=ocp.args.StandardRestore(target)))


def _rename_to_free(folder: Path, name: str) -> None:
    """Renames a folder, appending a number if the name is taken."""
    number, target = 1, folder.with_name(name)
    while target.exists():
        number += 1
        target = folder.with_name(f"{name}-{number}")
    folder.rename(target)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
