"""Checkpoints of a run, by Orbax: written in the background, committed by a rename, the last few kept.

Everything that is said to Orbax is said here. A checkpoint `workdir/checkpoints/<step>/` holds
`params` (those that train, and the frozen ones), `ema`, `optimizer` and `run` (the config, the step). Where the
reader is follows from the step, so a run may go on with another number of processes.
"""

import functools
import logging
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Mesh, SingleDeviceSharding

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.training.state import TrainState, merge
from mtv_jax.typing import Params

FOLDER = "checkpoints"
_TEMPORARY = "*.orbax-checkpoint-tmp"
_SETTLE_SECONDS = 10.0
_FULL = re.compile(r"RESOURCE_EXHAUSTED|ENOSPC|No space left|disk quota", re.IGNORECASE)


class DamagedError(UserError):
    """A checkpoint that cannot be read."""


class Checkpoints:
    """The checkpoints of one run; a context manager, whose end waits for what is being written.

    A full disk, found before writing or while, is a UserError that names the last good checkpoint.
    """

    def __init__(self, workdir: Path, *, keep: int = 3, read_only: bool = False):
        self.directory = Path(workdir).absolute() / FOLDER
        self._saving: int | None = None
        self._ran_full = False
        _quiet_orbax()
        with self._told("opening checkpoints"):
            # A reader must not clean up: what is half-written may be so by a run that is alive.
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep, cleanup_tmp_directories=not read_only, read_only=read_only
            )
            if not read_only:
                self.directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self.directory, options=options)

    def latest(self) -> int | None:
        """Step of the newest checkpoint that is whole, or None."""
        return max(self.steps(), default=None)

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are whole, the newest first."""
        return sorted((s for s in self._manager.all_steps() if s != self._saving), reverse=True)

    def set_aside(self, step: int) -> None:
        """Renames a checkpoint that is damaged, so that it is neither chosen nor counted again."""
        if jax.process_index() == 0:
            folder = self.directory / str(step)
            folder.rename(self.directory / f"damaged-{step}")
        multihost_utils.sync_global_devices(f"checkpoint {step} set aside")
        self._manager.reload()

    def run(self, step: int) -> dict[str, Any]:
        """What was saved of the run beside arrays: `config`, `step`, `versions`."""
        args = ocp.args.Composite(run=ocp.args.JsonRestore())
        with self._told(f"reading checkpoint {self.directory / str(step)}"):
            return self._manager.restore(step, args=args)["run"]

    def save(self, step: int, state: TrainState, run: dict[str, Any]) -> None:
        """Starts writing the state after `step` steps, first waiting for the one before.

        The arrays are copied before this returns, so the state may be donated at once.
        """
        self.wait()
        self.check_space(state)
        items: dict[str, Any] = {name: ocp.args.StandardSave(tree) for name, tree in _items(state).items()}
        items["run"] = ocp.args.JsonSave(run)
        with self._told(f"saving step {step}"):
            self._saving = step
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)

    def restore(self, step: int, shapes: TrainState, shardings: TrainState) -> TrainState:
        """The state saved at `step`, placed by `shardings` (of any mesh)."""
        target = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings
        )
        items: dict[str, Any] = {
            name: ocp.args.StandardRestore(tree) for name, tree in _items(target).items()
        }
        with self._told(f"reading checkpoint {self.directory / str(step)}"):
            restored = self._manager.restore(step, args=ocp.args.Composite(**items))
        return TrainState(
            ema=restored["ema"] if "ema" in items else None, **restored["params"], **restored["optimizer"]
        )

    def shapes(self, item: str, step: int) -> Any:
        """Shapes and dtypes of one item of a checkpoint, as nested dicts; None if it has no such item."""
        folder = self._manager.directory / str(step) / item
        if not folder.is_dir():
            return None
        with self._told(f"reading checkpoint {self.directory / str(step)}"):
            # Not the manager's `item_metadata`: that is None for items it has neither saved nor restored.
            saved: Any = ocp.StandardCheckpointHandler().metadata(folder).tree
            return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), saved)

    def read(self, item: str, step: int, mesh: Mesh | None = None) -> Any:
        """One item of a checkpoint as nested dicts of arrays, whatever wrote it.

        They are placed on `mesh` by the rules of `mtv_jax.sharding`, or on the first device.
        """
        shapes, device = self.shapes(item, step), SingleDeviceSharding(jax.devices()[0])
        places = jax.tree.map(lambda _: device, shapes) if mesh is None else tree_shardings(shapes, mesh)
        with self._told(f"reading checkpoint {self.directory / str(step)}"):
            target = jax.tree.map(
                lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, places
            )
            args = ocp.args.Composite(**{item: ocp.args.StandardRestore(target)})
            return self._manager.restore(step, args=args)[item]

    def check_space(self, state: Any) -> None:
        """Raises UserError unless the disk has room for one more checkpoint of `state` (or its shapes)."""
        needed = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise UserError(
                f"{self.directory}: disk full: a checkpoint needs {_size(needed)}, {_size(free)} are free; "
                f"{self._last_good()}; make room and run the same command again"
            )

    def check(self) -> None:
        """Raises what went wrong with a checkpoint being written, if something did."""
        with self._told(f"saving step {self._saving}"):
            self._manager.check_for_errors()

    def wait(self) -> None:
        """Waits until the checkpoint being written is whole."""
        with self._told(f"saving step {self._saving}"):
            self._manager.wait_until_finished()
            self._saving = None

    def describe_last(self) -> str:
        """The newest whole checkpoint, for a message; waits for one being written."""
        self.wait()
        return self._last_good()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            with self._told(f"saving step {self._saving}"):
                self._manager.close()
        except Exception:
            # The first error is the one to tell.
            if kind is None:
                raise
        finally:
            if self._ran_full:
                self._discard_late_writes()

    def _last_good(self) -> str:
        step = self.latest()
        if step is None:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {self.directory / str(step)}"

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Tells a failure of Orbax in one line: a full disk as the user's to mend, others by their reason."""
        try:
            yield
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            if _FULL.search(str(error)):
                self._ran_full = True
                self._discard_partial()
                raise UserError(
                    f"{self.directory}: disk full while {doing}; {self._last_good()}; make room and run the "
                    "same command again"
                ) from error
            if doing.startswith("reading"):
                raise DamagedError(
                    f"{doing}: damaged, or not of this program ({_first_line(error)})"
                ) from error
            raise

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
      step: which checkpoint; default the newest.
      average: the moving average of the weights, where the run keeps one.

    Returns:
      Params, and a dict with `config` (nested dict), `step` and `versions`.
    """
    existing_directory(Path(workdir) / FOLDER)
    with Checkpoints(Path(workdir), read_only=True) as checkpoints:
        step = checkpoints.latest() if step is None else step
        if step is None or not (checkpoints.directory / str(step)).is_dir():
            raise UserError(
                f"{checkpoints.directory}: no checkpoint{'' if step is None else f' of step {step}'}"
            )
        run = checkpoints.run(step)
        params = checkpoints.read("params", step)
        use = params["params"]
        if average and (checkpoints.directory / str(step) / "ema").is_dir():
            use = jax.tree.map(lambda x: x.astype(jnp.float32), checkpoints.read("ema", step))
    return merge(use, params["frozen"]), run


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

    That is its own log of the traceback, asyncio's log of the writes beside the first one that met a full disk,
    and the complaint of writes that end when the loop which waited for them is closed.
    """
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(
        lambda record: "never retrieved" not in record.getMessage() or not _FULL.search(record.getMessage())
    )
    report = sys.unraisablehook
    sys.unraisablehook = lambda it: None if str(it.exc_value) == "Event loop is closed" else report(it)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
