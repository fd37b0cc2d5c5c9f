"""The training loop: resume, step, log, save, sample, evaluate, stop cleanly."""

import errno
import itertools
import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import Mesh

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.distributed import check_same, from_first, meet
from mtv_jax.sharding.mesh import batch_sharding, check_batch_size, make_mesh, put_batch
from mtv_jax.training import optim, skipping, steps
from mtv_jax.training.checkpoint import Checkpoints
from mtv_jax.training.configs import TrainConfig, differences
from mtv_jax.training.failures import DamagedError, report_out_of_memory
from mtv_jax.training.metrics import MetricsLog, Throughput
from mtv_jax.training.skipping import Skipped
from mtv_jax.training.state import TrainState
from mtv_jax.training.stop import Stop, StoppedError
from mtv_jax.training.tasks import Task
from mtv_jax.typing import Params

SampleFunction = Callable[[int, Params], tuple[np.ndarray, float]]
"""`(step, params) -> (frames uint8 [F H W 3], frames per second)`."""

EvaluateFunction = Callable[[int, Params], Mapping[str, float]]
"""`(step, params) -> figures by name`."""

_SECONDS_BETWEEN_LINES = 5.0


class NonFiniteError(RuntimeError):
    """The loss or the gradient is NaN or infinite: a problem of the run, not of the program."""


@dataclass(frozen=True)
class Job:
    """A training run.

    Attributes:
      config: of the run.
      task: what is trained.
      batch: shapes and dtypes of the arrays of a global batch.
      batches: `n -> ` the endless batches (dicts of arrays) of this process starting at batch n, which depend
        only on n.
      workdir: where checkpoints, metrics and samples go.
      identity: nested plain dict, saved with each checkpoint; one of another identity is not resumed
        (`mtv_jax.training.configs.differences` says what may differ).
      sample: makes the sample videos, or None.
      evaluate: measures the averaged parameters, or None. Its figures are logged as `evaluate/NAME`.
      initial_params: returns the initial parameters of a new run, placed on the mesh; missing ones are initialised at
        random. Not called when a run is resumed.
      throughput: tokens and operations of a step, for its speed in the log; None omits it.
      skip: ranges `(first, end)` of batch numbers to skip, in addition to those recorded by the run
        (`mtv_jax.training.skipping`).
      check: called with the shapes of state and global batch, placed on the mesh, and the mesh, before anything is
        allocated; it may reject them by raising UserError.
    """

    config: TrainConfig
    task: Task
    batch: Mapping[str, jax.ShapeDtypeStruct]
    batches: Callable[[int], Iterable[Any]]
    workdir: Path
    identity: Mapping[str, Any]
    sample: SampleFunction | None = None
    evaluate: EvaluateFunction | None = None
    initial_params: Callable[[Mesh], Params] | None = None
    throughput: Throughput | None = None
    skip: tuple[tuple[int, int], ...] = ()
    check: Callable[[TrainState, Any, Mesh], None] | None = None


def fit(job: Job) -> TrainState:
    """Trains until `config.num_steps`, from the newest checkpoint of `workdir` if there is one.

    Before a step is compiled, raises UserError for a mesh that does not fit, a checkpoint of another config, batches
    to skip that were already trained on, or a full disk. Raises NonFiniteError if the loss or gradient is not finite,
    and StoppedError on SIGTERM and Ctrl-C, after saving.
    """
    config = job.config
    mesh = make_mesh(config.mesh)
    meet(mesh)
    check_same(json.dumps([job.identity, job.skip], sort_keys=True), "config")
    check_batch_size(mesh, config.data.batch_size, config.accumulate)
    with (
        _report_full_disk(job.workdir),
        report_out_of_memory("training"),
        Checkpoints(job.workdir, keep=config.checkpoint.keep) as checkpoints,
        Stop() as stop,
    ):
        _check_identity(job, checkpoints)
        start, state, skipped, step_function = _prepare(job, mesh, checkpoints)
        if start >= config.num_steps:
            _log_message(f"already at step {start} of {config.num_steps}: nothing to do")
            return state
        with MetricsLog(job.workdir, start, active=jax.process_index() == 0) as log:
            run = _Run(job, mesh, checkpoints, log, step_function, skipped, stop)
            return run.until_done(state, start)


def _check_identity(job: Job, checkpoints: Checkpoints) -> None:
    """Raises UserError if the newest readable checkpoint is of another config."""
    for step in checkpoints.steps():
        try:
            saved = checkpoints.run(step)["config"]
        except DamagedError:
            continue
        now = json.loads(json.dumps(job.identity))
        found = list(differences(saved, now))
        if found:
            raise UserError(
                f"{checkpoints.directory / str(step)}: a checkpoint of another config: {'; '.join(found)}; "
                "use that config, or another --workdir"
            )
        return


def _prepare(
    job: Job, mesh: Mesh, checkpoints: Checkpoints
) -> tuple[int, TrainState, Skipped, steps.StepFunction]:
    """The last completed step, the state after it, on the mesh, the batches to skip, and the jitted step (compiled
    when first called)."""
    config, batch = job.config, job.batch
    init = steps.make_init(job.task, config.optimizer, config.num_steps, config.seed, batch)
    shapes, shardings = steps.state_shardings(init, mesh)
    optim.check_rules(config.optimizer, shapes.all_params())
    if job.check is not None:
        job.check(steps.placed(shapes, shardings), steps.placed(batch, batch_sharding(mesh)), mesh)
    checkpoints.check_space(shapes)
    start, state = _restore(checkpoints, shapes, shardings)
    skipped = _skipped(job, checkpoints, start)
    if state is None:
        given = None
        if job.initial_params is not None:
            given = job.initial_params(mesh)
            _log_message(f"starts from {config.init_from}: {_count(given)} parameters")
        state = steps.compile_init(init, shardings, given)
    _log_message(
        f"{_count(state.params)} parameters train, {_count(state.frozen)} are frozen; mesh "
        + " x ".join(f"{n} {axis}" for axis, n in mesh.shape.items())
    )
    step = steps.make_step(
        job.task,
        config.optimizer,
        config.num_steps,
        config.seed,
        stream=config.stream,
        accumulate=config.accumulate,
        batch_number=skipped.number,
    )
    return start, state, skipped, steps.compile_step(step, shardings, mesh)


def _skipped(job: Job, checkpoints: Checkpoints, start: int) -> Skipped:
    """The batches to skip: those recorded by the run and those that `job` adds, which are recorded as well."""
    saved = checkpoints.run(start).get("skipped_batches", []) if start else []

    def decide() -> str:
        recorded, before = Skipped.of(saved), skipping.read_record(job.workdir)
        skipped = skipping.add(recorded, before.ranges + job.skip, start, job.workdir)
        if skipped != before:
            skipping.write_record(job.workdir, skipped)
        return json.dumps(skipped.ranges)

    skipped = Skipped.of(json.loads(from_first("skipped batches", decide)))
    if skipped.ranges:
        _log_message(f"skips the batches {skipped} ({job.workdir / skipping.RECORD_FILE})")
    return skipped


def _restore(
    checkpoints: Checkpoints, shapes: TrainState, shardings: TrainState
) -> tuple[int, TrainState | None]:
    """The newest checkpoint that all processes can read and its step; 0 and None if there are no checkpoints.

    All processes return the same, since reading fails in all of them or in none. Damaged checkpoints are reported and
    renamed. Raises DamagedError if all are damaged.
    """
    damaged: list[int] = []
    steps_there = checkpoints.steps()
    for step in steps_there:
        try:
            checkpoints.run(step)
            state = checkpoints.restore(step, shapes, shardings)
        except DamagedError as error:
            if step == steps_there[-1]:
                raise
            _log_message(f"{error}: falling back to the previous one")
            damaged.append(step)
            continue
        for bad in damaged:
            checkpoints.set_aside(bad)
        unsure = (
            ""
            if checkpoints.is_hashed(step)
            else ", not all of it hashed: it could not be checked for damage"
        )
        _log_message(f"resumed from step {step} ({checkpoints.directory / str(step)}{unsure})")
        return step, state
    return 0, None


def _check_batch(batch: Mapping[str, Any], shapes: Mapping[str, Any]) -> None:
    """Raises UserError unless a batch of this process has the arrays of a global batch of `shapes`."""
    processes = jax.process_count()
    for key, shape in shapes.items():
        want = shape.dtype, (shape.shape[0] // processes, *shape.shape[1:])
        if key not in batch or (batch[key].dtype, batch[key].shape) != want:
            found = f"{batch[key].dtype} {list(batch[key].shape)}" if key in batch else "not there"
            raise UserError(
                f"data: {key} of a batch is {found}, not {want[0]} {list(want[1])} as the manifest of the shards says; "
                "build the shards again"
            )


@dataclass
class _Run:
    """The steps of `fit` and their context."""

    job: Job
    mesh: Mesh
    checkpoints: Checkpoints
    log: MetricsLog
    step_function: steps.StepFunction
    skipped: Skipped
    stop: Stop

    def until_done(self, state: TrainState, start: int) -> TrainState:
        """The steps after `start`. While the device runs one, the host reports the previous one."""
        config = self.job.config
        reporter = _Reporter(
            self.log, self.checkpoints, config.num_steps, start, self.job.throughput, self.skipped
        )
        batches = self._batches(start)
        if self.stop.at(start):
            raise StoppedError(self.stop.number(), f"no step after {start} was begun")
        _log_message("compiling the step")
        for step in range(start + 1, config.num_steps + 1):
            begun = time.monotonic()
            batch = put_batch(next(batches), self.mesh)
            wait = time.monotonic() - begun
            with jax.transfer_guard("disallow"):
                state, metrics = self.step_function(state, batch)
            reporter.push(step, metrics, begun, wait)
            self.checkpoints.check()
            stopping = self.stop.at(step)
            save = stopping or step == config.num_steps or step % config.checkpoint.every == 0
            sample = bool(self.job.sample) and config.sample.every and step % config.sample.every == 0
            evaluate = not stopping and self._evaluates(step)
            if save or sample or evaluate:
                # A step is not saved before its loss has been checked.
                reporter.flush()
            if save:
                self.checkpoints.save(step, state, self._identity(step))
            if sample:
                self._sample(step, state)
            if evaluate:
                self._evaluate(step, state)
            if stopping:
                number = self.stop.number()
                self.checkpoints.wait()
                raise StoppedError(number, f"saved step {step}")
        self.checkpoints.wait()
        return state

    def _batches(self, start: int) -> Iterator[Any]:
        """The batches after `start` steps. Reading the first batch of a source starts its worker processes."""
        return self.skipped.batches(self._source, start)

    def _source(self, number: int) -> Iterator[Any]:
        """An endless iterator of the batches starting at a number."""
        batches = iter(self.job.batches(number))
        with Stop.withheld():
            first = next(batches)
        _check_batch(first, self.job.batch)
        return itertools.chain([first], batches)

    def _identity(self, step: int) -> dict[str, Any]:
        versions = {"jax": jax.__version__, "grain": grain.__version__}
        return {
            "step": step,
            "config": dict(self.job.identity),
            "skipped_batches": self.skipped.ranges,
            "versions": versions,
        }

    def _sample(self, step: int, state: TrainState) -> None:
        assert self.job.sample is not None
        with report_out_of_memory("a sample video (--config.sample.every=0 makes none)"):
            frames, fps = self.job.sample(step, state.all_params(average=True))
        self.log.video(step, "sample", frames, fps)

    def _evaluates(self, step: int) -> bool:
        every = self.job.config.evaluate.every
        due = every and (step % every == 0 or step == self.job.config.num_steps)
        return self.job.evaluate is not None and bool(due)

    def _evaluate(self, step: int, state: TrainState) -> None:
        assert self.job.evaluate is not None
        with report_out_of_memory("an evaluation (--config.evaluate.every=0 makes none)"):
            figures = self.job.evaluate(step, state.all_params(average=True))
        self.log.scalars(step, {f"evaluate/{name}": value for name, value in figures.items()})
        shown = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
        _log_message(f"step {step}/{self.job.config.num_steps} evaluate {shown}")


class _Reporter:
    """Logs a step while the next one runs, so that the device never waits for the host."""

    def __init__(
        self,
        log: MetricsLog,
        checkpoints: Checkpoints,
        num_steps: int,
        start: int,
        throughput: Throughput | None,
        skipped: Skipped,
    ):
        self._log, self._checkpoints, self._num_steps, self._start = log, checkpoints, num_steps, start
        self._throughput, self._skipped = throughput, skipped
        self._pending: tuple[int, Any, float, float] | None = None
        self._finished = 0.0
        self._last_line = -math.inf
        # The first step includes compilation, so it is excluded from the pace.
        self._times: deque[float] = deque(maxlen=20)

    def push(self, step: int, metrics: Any, begun: float, wait: float) -> None:
        """Stores the metrics (still being computed) of `step`, and reports the previous step."""
        self.flush()
        self._pending = (step, metrics, begun, wait)

    def flush(self) -> None:
        """Waits for the pending step and reports it. Raises NonFiniteError."""
        if self._pending is None:
            return
        step, metrics, begun, wait = self._pending
        self._pending = None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        now = time.monotonic()
        seconds = now - max(begun, self._finished)
        self._finished = now
        for name in ("loss", "grad_norm"):
            if not math.isfinite(values[name]):
                batch = self._skipped.number(step - 1)
                raise NonFiniteError(
                    f"step {step}: {name} is {values[name]}, in batch {batch}; stopped; "
                    f"{self._checkpoints.describe_last()}; to resume from there without that batch, run the same "
                    f"command with --skip-batches {batch}:{batch + 1}"
                )
        speed = self._throughput.of(seconds) if self._throughput and step > self._start + 1 else {}
        self._log.scalars(step, values | speed | {"step_time": seconds, "data_wait": wait})
        self._show(step, values["loss"], seconds, now)

    def _show(self, step: int, loss: float, seconds: float, now: float) -> None:
        first = step == self._start + 1
        if not first:
            self._times.append(seconds)
        if now - self._last_line < _SECONDS_BETWEEN_LINES and step != self._num_steps and not first:
            return
        self._last_line = now
        pace = sum(self._times) / len(self._times) if self._times else seconds
        speed = f"{pace:.3g} s/step eta {_clock(pace * (self._num_steps - step))}"
        if first:
            speed = f"{seconds:.1f} s with compilation"
        _log_message(f"step {step}/{self._num_steps} loss {loss:.4g} {speed}")


@contextmanager
def _report_full_disk(workdir: Path) -> Iterator[None]:
    """Raises UserError if writing the log or the samples fills the disk; checkpoints report it themselves."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"{workdir}: disk full ({error}); the checkpoints are whole; make room and run the "
            "same command again"
        ) from error


def _log_message(message: str) -> None:
    if jax.process_index() == 0:
        print(message, file=sys.stderr, flush=True)


def _count(params: Params) -> str:
    number = sum(x.size for x in jax.tree.leaves(params))
    return f"{number / 1e6:.3g} M" if number >= 1e5 else str(number)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
