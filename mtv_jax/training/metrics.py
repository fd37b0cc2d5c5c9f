"""Logs of a run: `metrics.jsonl` (a line for each step), TensorBoard, and sample videos."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from mtv_jax.io.files import write_text
from mtv_jax.io.video import write_gif, write_video

# The generated modules create their classes at import time, invisible to type checkers.
Event, SessionLog = event_pb2.Event, event_pb2.SessionLog  # pyright: ignore[reportAttributeAccessIssue]
Summary = summary_pb2.Summary  # pyright: ignore[reportAttributeAccessIssue]

METRICS_FILE = "metrics.jsonl"
_PANEL_SECONDS_BETWEEN_FLUSHES = 20


@dataclass(frozen=True)
class Throughput:
    """Work done in a training step, for its speed.

    Attributes:
      tokens: of video and text in the global batch.
      flops: model FLOPs of the step, without rematerialisation.
      peak_flops: peak FLOPs per second of all devices together; None if unknown.
    """

    tokens: int
    flops: float
    peak_flops: float | None

    def of(self, seconds: float) -> dict[str, float]:
        """`tokens_per_second` and, where the peak is known, `mfu` (model FLOPs utilisation)."""
        values = {"tokens_per_second": self.tokens / seconds}
        return values | ({"mfu": self.flops / seconds / self.peak_flops} if self.peak_flops else {})


class MetricsLog:
    """Appends to `workdir/metrics.jsonl` and `workdir/tensorboard`; a context manager.

    Opened at step n, it first removes the entries of later steps that an interrupted run wrote, so that no step
    appears twice. Only one process of a run may write: the others pass `active=False`.
    """

    def __init__(self, workdir: Path, step: int, *, active: bool = True):
        self._active = active
        self._samples = workdir / "samples"
        if not active:
            return
        path = workdir / METRICS_FILE
        drop_later_steps(path, step)
        self._lines = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)
        self._events = EventFileWriter(
            str(workdir / "tensorboard"), flush_secs=_PANEL_SECONDS_BETWEEN_FLUSHES
        )
        if step:
            # TensorBoard discards the events it has read of this and later steps.
            session = SessionLog(status=SessionLog.START)
            self._events.add_event(Event(wall_time=time.time(), step=step + 1, session_log=session))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl, flushed, and the same scalars for TensorBoard."""
        if not self._active:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._lines.write(json.dumps({"step": step} | finite) + "\n")
        self._lines.flush()
        self._add(step, [Summary.Value(tag=name, simple_value=value) for name, value in values.items()])

    def video(self, step: int, name: str, frames: np.ndarray, fps: float) -> None:
        """Writes `samples/step_<step>_<name>.mp4` and `.gif`, and the latter as a TensorBoard image.

        Args:
          frames: uint8 `[F H W 3]`.
          fps: frames per second.
        """
        if not self._active:
            return
        stem = self._samples / f"step_{step:06d}_{name}"
        write_video(stem.with_suffix(".mp4"), frames, fps)
        gif = stem.with_suffix(".gif")
        write_gif(gif, frames, fps)
        image = Summary.Image(
            height=frames.shape[1], width=frames.shape[2], colorspace=3, encoded_image_string=gif.read_bytes()
        )
        self._add(step, [Summary.Value(tag=f"samples/{name}", image=image)])
        self._events.flush()

    def _add(self, step: int, values: list[Any]) -> None:
        self._events.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Flushes and closes the files."""
        if self._active:
            self._lines.close()
            self._events.close()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def drop_later_steps(path: Path, step: int) -> None:
    """Removes lines of `path` beyond `step`, and a truncated last line."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _step_of(line) <= step]
    if len(kept) != len(lines):
        write_text(path, "".join(line + "\n" for line in kept))


def read_metrics(workdir: str | Path) -> list[dict[str, float]]:
    """The values of each step in a run's metrics.jsonl, in order, those of its evaluation included."""
    text = (Path(workdir) / METRICS_FILE).read_text(encoding="utf-8")
    found: dict[int, dict[str, float]] = {}
    for line in text.splitlines():
        values = json.loads(line)
        found.setdefault(values["step"], {}).update(values)
    return list(found.values())


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return math.inf
