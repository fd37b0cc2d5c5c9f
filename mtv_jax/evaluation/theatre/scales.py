"""Effect and leak of each track at several guidance scales, as a table.

A row is a measurement of the suite in which one track has a scale of its own, and all else that of the options. At
scale 0 the track is silent, so its effect is that of silence and nothing of it leaks.
"""

from dataclasses import replace
from pathlib import Path

from mtv_jax.evaluation.report.claims import claim, leak
from mtv_jax.evaluation.report.schema import Report
from mtv_jax.evaluation.report.text import interval, number
from mtv_jax.evaluation.theatre.options import SuiteOptions
from mtv_jax.evaluation.theatre.pipeline import evaluate_pipeline
from mtv_jax.io.files import write_text
from mtv_jax.names import TRACKS

TABLE = "scales.md"
EFFECTS = {"speech": "lips.correlation", "effects": "events.f1", "music": "mood.hue"}
"""The figure of what each track controls."""


def evaluate_scales(options: SuiteOptions, out: Path, *, overwrite: bool) -> str:
    """Measures each track at each of the scales, and writes and returns the table, in Markdown.

    Each measurement has a folder of its own (`speech_2`), and one that is there is kept. Raises as
    `evaluate_pipeline`.
    """
    each, rows = replace(options, scales=None), []
    for track in TRACKS:
        for scale in options.scales or ():
            # At the scale of all else the track has none of its own.
            own = () if scale == options.guidance_scale else ((track, scale),)
            folder = out / (f"{track}_{scale:g}" if own else "all")
            report, _ = evaluate_pipeline(each, folder, overwrite=overwrite, track_scales=own)
            rows.append(_row(track, scale, report))
    table = "\n".join([*_head(), *rows])
    write_text(out / TABLE, f"{table}\n")
    return table


def _head() -> list[str]:
    columns = ["track", "scale", "effect", *(f"leak into {name}" for name in TRACKS)]
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def _row(track: str, scale: float, report: Report) -> str:
    """The effect of a track, and how far what belongs to others moves when it changes, relative to their own effect."""
    figures = {figure.id: figure for figure in report.figures}
    effect = figures.get(EFFECTS[track])
    value = "-" if effect is None else f"{number(effect.value)} ({interval(effect)})"
    leaks = [figures.get(leak(other, track)) if other != track else None for other in TRACKS]
    cells = [track, f"{scale:g}", f"{claim(EFFECTS[track]).name} {value}"]
    return f"| {' | '.join(cells + ['-' if found is None else number(found.value) for found in leaks])} |"
