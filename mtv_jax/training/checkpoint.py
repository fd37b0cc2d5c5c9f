"""Checkpoints of a run, by Orbax: written in the background, committed by a rename, the last few kept.

Everything that is said to Orbax is said here. A checkpoint `workdir/checkpoints/<step>/` holds
`params` (those that train, and the frozen ones), `ema`, `optimizer` and `run` (the config, the step), and hashes of
all these files (`mtv_jax.training.checkpoint_hashes`). Where the reader is follows from the step, so a run may go on
with another number of processes.
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
    """The checkpoints of one run; a context manager, whose end waits for what is being written.

    Of many processes all read together: a checkpoint that one of them cannot read, by several tries, is a
    DamagedError in all. A full disk, found before writing or while, is a UserError that names the last good
    checkpoint.
    """

    def __init__(self, workdir: Path, *, keep: int = 3, read_only: bool = False):
        self.directory = Path(workdir).absolute() / CHECKPOINTS
        self._saving: int | None = None
        self._hashing: threading.Thread | None = None
        self._ran_full = False
        _quiet_orbax()
        with self._report_failures("opening checkpoints"):
            # A reader must not clean up: what is half-written may be so by a run that is alive.
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep, cleanup_tmp_directories=not read_only, read_only=read_only
            )
            if not read_only:
                self.directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self.directory, options=options)

    def latest(self) -> int | None:
        """Step of the newest checkpoint that is whole, or None."""
        return max(self._steps_here(), default=None)

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are whole, the newest first, as the first process sees them."""
        return gather(self._steps_here())[0]

    def set_aside(self, step: int) -> None:
        """Renames a checkpoint that is damaged, so that it is neither chosen nor counted again."""

        def rename() -> None:
            if jax.process_index() == 0:
                _rename_to_free(self.directory / str(step), f"damaged-{step}")

        agreed(rename)
        self._manager.reload()

    def is_hashed(self, step: int) -> bool:
        """Whether all of a checkpoint is hashed; if not, damage to it may go unnoticed."""
        return self._read(step, lambda _: retried(lambda: is_hashed(self._path(step))))

    def run(self, step: int) -> dict[str, Any]:
        """What was saved of the run beside arrays: `config`, `step`, `versions`."""
        self._check(step, ["run"])
        handler = ocp.JsonCheckpointHandler()
        return self._read(step, lambda folder: retried(lambda: dict(handler.restore(folder / "run"))))

    def save(self, step: int, state: TrainState, run: dict[str, Any]) -> None:
        """Starts writing the state after `step` steps, first waiting for the one before.

        The arrays are copied before this returns, so the state may be donated at once. What is committed is hashed
        in the background.
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
        """The state saved at `step`, placed by `shardings` (of any mesh), once all files are known to be whole."""
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
        """One item of a checkpoint as nested dicts of arrays, whatever wrote it, once it is known to be whole.

        They are placed on `mesh` by the rules of `mtv_jax.sharding`, or on the first device.
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
        """Raises what went wrong with a checkpoint being written, if something did."""
        with self._report_failures(f"saving step {self._saving}"):
            self._manager.check_for_errors()

    def wait(self) -> None:
        """Waits until the checkpoint being written is whole, and hashed."""
        with self._report_failures(f"saving step {self._saving}"):
            self._manager.wait_until_finished()
            self._saving = None
        self._wait_for_hashes()

    def describe_last(self) -> str:
        """The newest whole checkpoint, for a message; waits for one being written."""
        self.wait()
        return self._last_good()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            with self._report_failures(f"saving step {self._saving}"):
                self._manager.close()
        except Exception:
            # The first error is the one to tell.
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
        """Raises DamagedError unless the files of a checkpoint, or of some items of it, are what was saved.

        Each process reads a share of them.
        """

        def check() -> None:
            index, count = jax.process_index(), jax.process_count()
            with self._report_failures(f"reading checkpoint {self._path(step)}"):
                check_hashes(self._path(step), index, count, items=items)

        agreed(check)

    def _read(self, step: int, read: Callable[[Any], T]) -> T:
        """What `read` makes of a checkpoint's folder, if it can in every process.

        It must use Orbax's handlers. A manager's `restore` waits for the other processes, for ever if it fails in one.
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
            # The thread that saves tells it.
            return
        try:
            write_hashes(self._path(step), jax.process_index(), jax.process_count())
        except OSError as error:
            # It is whole all the same.
            message = f"{self._path(step)}: could not be hashed ({first_line(error)}); it is kept as it is"
            print(message, file=sys.stderr, flush=True)

    def _wait_for_hashes(self) -> None:
        if self._hashing is not None:
            self._hashing.join()
            self._hashing = None

    @contextmanager
    def _report_failures(self, doing: str) -> Iterator[None]:
        """Tells a failure of Orbax in one line: a full disk or memory as the user's to mend, others by their reason.

        TensorStore's errors are of many types, some of them bare Exceptions. What the system cannot read, though it
        is there, is not known to be damaged.
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
            raise DamagedError(f"{doing}: damaged, or not of this program ({first_line(error)})") from error

    def _discard_partial(self) -> bool:
        """Frees the room that a failed write has taken, and says if there was any; what is committed has another
        name."""
        paths = list(self.directory.glob(_TEMPORARY))
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)
        return bool(paths)

    def _discard_late_writes(self) -> None:
        """Discards until nothing has come back for a while: Orbax does not wait for the writes beside the one that
        failed, and each makes its folder anew."""
        empty, end = 0, time.monotonic() + _SETTLE_SECONDS
        while empty < 10 and time.monotonic() < end:
            empty = 0 if self._discard_partial() else empty + 1
            time.sleep(0.05)


def load_trained(
    workdir: str | Path, step: int | None = None, *, average: bool = True
) -> tuple[Params, dict[str, Any]]:
    """Parameters of a run's checkpoint on the first device, and what was saved of the run.

    Args:
      workdir: of the run.
      step: which checkpoint; default the newest undamaged one; damaged ones are reported on stderr.
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
                print(f"{error}: taking the one before", file=sys.stderr, flush=True)


def read_params(
    checkpoints: Checkpoints, step: int, mesh: Mesh | None = None, *, average: bool = True
) -> Params:
    """The parameters of a checkpoint; with `average` their average, if there is one.

    They are placed on `mesh` by the rules of `mtv_jax.sharding`, or on the first device. Raises DamagedError.
    """
    params = checkpoints.read("params", step, mesh)
    averaged = average and checkpoints.shapes("ema", step) is not None
    return joined(**params, ema=checkpoints.read("ema", step, mesh) if averaged else None)


def _items(state: TrainState) -> dict[str, Any]:
    """The state as the arrays' items of a checkpoint."""
    items = {
        "params": {"params": state.params, "frozen": state.frozen},
        "optimizer": {"step": state.step, "opt_state": state.opt_state},
    }
    return items if state.ema is None else items | {"ema": state.ema}


@functools.cache
def _quiet_orbax() -> None:
    """Drops, for the rest of the process, what Orbax's threads print of an error that Orbax also raises.

    That is its own log of the traceback, asyncio's log of the reads or writes beside the first one that failed,
    and the complaint of writes that end when the loop which waited for them is closed.
    """

    def is_reported(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return "never retrieved" in message and ("orbax" in message or is_full_disk(record.exc_info))

    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(lambda record: not is_reported(record))
    report = sys.unraisablehook
    sys.unraisablehook = lambda it: None if str(it.exc_value) == "Event loop is closed" else report(it)


def _read_arrays(folder: Any, target: Any) -> Any:
    """The arrays of one item, as `target` says."""
    handler = ocp.StandardCheckpointHandler()
    return retried(lambda: handler.restore(folder, args=ocp.args.StandardRestore(target)))


def _rename_to_free(folder: Path, name: str) -> None:
    """Renames a folder, by a number behind the name if there is one of that name already."""
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
