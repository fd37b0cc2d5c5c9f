"""`evaluate` on videos: measures what is not known yet, and reports on all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mtv_jax.evaluation.report.output import write_report
from mtv_jax.evaluation.report.schema import Report
from mtv_jax.evaluation.videos.catalogue import find_metrics
from mtv_jax.evaluation.videos.manifest import Item, Manifest, items_of
from mtv_jax.evaluation.videos.metric import Weights
from mtv_jax.evaluation.videos.options import Part, VideoOptions
from mtv_jax.evaluation.videos.report import code_lines, cost_lines, videos_report
from mtv_jax.evaluation.videos.run import Task, gather, measure, open_tools
from mtv_jax.evaluation.videos.samples import FOLDER
from mtv_jax.io.errors import UserError
from mtv_jax.io.lock import FolderLock
from mtv_jax.io.progress import say

_LACKING = (
    "compares two sets, of two videos or more each: name the real ones by --reference, or by 'reference' in the "
    "manifest"
)


def evaluate_videos(files: Sequence[Path], options: VideoOptions, out: Path) -> Report | None:
    """Measures videos and writes the report into a folder; None if only a part of them was measured.

    Raises UserError for unknown metrics, if there is no video to measure, if no metric can be measured, and with
    `strict` for the first problem.
    """
    metrics = find_metrics(options.metrics)
    manifest = items_of(files, options.manifest)
    given = items_of([options.reference]) if options.reference else None
    references = references_of(manifest, given)
    problems = {**manifest.problems, **(given.problems if given else {})}
    sets = min(len(references), len(manifest.items))
    lacking = {metric.name: _LACKING for metric in metrics if "reference" in metric.needs and sets < 2}
    usable = [metric for metric in metrics if metric.name not in lacking]
    tools, missing = open_tools(usable, Weights(options.weights, options.allow_random_weights))
    missing |= lacking
    if options.strict and (problems or missing):
        name, reason = next(iter({**problems, **missing}.items()))
        raise UserError(f"{name}: {reason}")
    if not tools:
        raise UserError("; ".join(f"{name}: {reason}" for name, reason in missing.items()))
    task = Task(tools, manifest.items, references, out)
    with FolderLock(out / FOLDER / options.part.name, "--out"):
        measure(task, part=options.part, strict=options.strict, strips=True)
    if options.part != Part():
        return None
    found = gather(task)
    report = videos_report(task, found, missing, problems)
    write_report(out, report)
    for line in (*cost_lines(found), *code_lines(found)):
        say(line)
    return report


def references_of(manifest: Manifest, given: Manifest | None) -> list[Item]:
    """The reference set: the videos that were given, and those that the manifest names, each once."""
    found: dict[Path, Item] = {}
    for item in given.items if given else ():
        found.setdefault(item.video.resolve(), replace(item, id=str(item.video)))
    for item in manifest.items:
        if item.reference:
            name = str(item.reference)
            found.setdefault(item.reference.resolve(), Item(name, item.reference, item.prompt))
    return list(found.values())
