"""Evaluation during a training: videos of held-out clips, measured by metrics of the catalogue.

OUT holds the videos of the last evaluation as `evaluate generate` writes them, with the manifest that measures them.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from mtv_jax.data.shards import ShardSet
from mtv_jax.evaluation.videos.catalogue import find_metrics
from mtv_jax.evaluation.videos.command import references_of
from mtv_jax.evaluation.videos.generate import MANIFEST, Drawn, unpack, write_made, write_manifest
from mtv_jax.evaluation.videos.manifest import read_manifest
from mtv_jax.evaluation.videos.metric import Weights
from mtv_jax.evaluation.videos.options import Part
from mtv_jax.evaluation.videos.run import Measurements, Task, Tool, figures_of, gather, measure, open_tools
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import say
from mtv_jax.sharding.distributed import from_first
from mtv_jax.typing import Params

MakeVideo = Callable[[Params, int], np.ndarray]
"""`(parameters, row) -> frames uint8 [F H W 3]` of a clip; it may raise FloatingPointError."""


@dataclass(frozen=True)
class Evaluation:
    """Measures the parameters of a training. All processes call it; the first one writes and measures.

    Attributes:
      tools: the metrics; none in the other processes.
      media: the clips; the first `clips` are used.
      make: makes the videos, in all processes together.
      tracks: names of the tracks that they are made from.
      seed: of their noise.
      out: folder of the videos.
    """

    tools: Sequence[Tool]
    media: ShardSet
    clips: int
    make: MakeVideo
    tracks: Sequence[str]
    seed: int
    out: Path

    def __call__(self, _step: int, params: Params) -> dict[str, float]:
        """Figures by the ids of their claims, and the number of `failures`: videos that a metric could not measure."""
        first = jax.process_index() == 0
        drawn = self._begin() if first else []
        for row in range(self.clips):
            try:
                frames = self.make(params, row)
            except FloatingPointError as error:
                # There is no video then, which is counted as a failure.
                say(f"evaluation, clip {row}: {error}")
                continue
            if first:
                write_made(drawn[row], frames, self.media.clip_size.fps, self.tracks)
        return json.loads(from_first("evaluation", lambda: json.dumps(self._figures(drawn))))

    def _begin(self) -> list[Drawn]:
        """Replaces the files of the last evaluation by those of the clips."""
        for name in ("videos", "reference", "tracks", "measured"):
            shutil.rmtree(self.out / name, ignore_errors=True)
        return [unpack(Drawn(row, self.media.read(row), self.out)) for row in range(self.clips)]

    def _figures(self, drawn: Sequence[Drawn]) -> dict[str, float]:
        write_manifest(drawn, self.seed)
        manifest = read_manifest(self.out / MANIFEST)
        # Rows of the clips themselves are kept: they are known by the content of the files.
        tasks = (
            Task(self.tools, manifest.items, (), self.out / "measured"),
            Task(self.tools, (), references_of(manifest, None), self.out / "measured_reference"),
        )
        for task in tasks:
            measure(task, part=Part())
        made, known = map(gather, tasks)
        rows = {name: [*made.rows[name], *known.rows[name]] for name in made.rows}
        failures = [*made.failures, *known.failures]
        if failures:
            say(f"evaluation: failures: {len(failures)}, the first one: {failures[0].error}")
        figures = figures_of(self.tools, Measurements(rows, failures, {}, {}))
        values = {figure.id: figure.value for figure in figures if figure.value is not None}
        return values | {"failures": len(failures)}


def open_metrics(metrics: str, weights: Path | None) -> list[Tool]:
    """The metrics named in `config.evaluate`, with their networks; none in processes other than the first.

    Raises UserError, in all processes, for an unknown metric or missing weights.
    """
    tools: list[Tool] = []

    def load() -> str:
        try:
            found, missing = open_tools(find_metrics(metrics), Weights(weights))
        except UserError as error:
            raise UserError(f"config.evaluate.metrics {str(error).removeprefix('--metrics ')}") from error
        for name, reason in missing.items():
            raise UserError(f"config.evaluate.metrics {name}: {reason} (config.evaluate.weights)")
        tools.extend(found)
        return ""

    from_first("metrics", load)
    return tools
