"""The theatre suite's results as files: results.json, and a page of the table with example videos."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.contact_sheet import Strip, contact_sheet
from mtv_jax.evaluation.theatre_run import Outcome, Row
from mtv_jax.io.files import write_json, write_text
from mtv_jax.io.pictures import write_image
from mtv_jax.io.video import write_video
from mtv_jax.typing import TRACK_RATE

RESULTS = "results.json"
SHEET = "contact_sheet.png"
SHEET_CLIPS = 8
_COLUMNS = (
    "claim",
    "figure",
    "value",
    "95 % interval",
    "clips",
    "target",
    "met",
    "ground truth",
    "through the autoencoder",
)
_STYLE = """
body{font-family:sans-serif;max-width:80em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse}
td,th{padding:.25em .8em;border-bottom:1px solid #ccc;text-align:left}
.invalid{background:#b00;color:#fff;padding:1em;font-weight:bold}
.yes{color:#070}.no{color:#b00}
figure{display:inline-block;width:16em;vertical-align:top;margin:.5em}
video{width:100%;image-rendering:pixelated}
img{max-width:100%}
figcaption,small{color:#555;font-size:.8em}
"""


def write_results(
    out: Path,
    outcome: Outcome,
    prompts: Sequence[str],
    origin: dict[str, Any],
    *,
    untrained: Sequence[str] = (),
    videos: int,
) -> None:
    """Writes `results.json`, `index.html`, the contact sheet and the first `videos` clips with their sound.

    `prompts` are of `outcome.clips`; `origin` is all that the results depend on. Results of `untrained` parts
    (their names) are marked invalid. The JSON is written last: if it is there, everything is.
    """
    (out / RESULTS).unlink(missing_ok=True)
    names = [_write_video(out, outcome, number) for number in range(min(videos, len(outcome.frames)))]
    write_image(out / SHEET, contact_sheet(_strips(outcome)))
    write_text(
        out / "index.html", page(outcome.rows, list(zip(names, prompts, strict=False)), origin, untrained)
    )
    write_json(out / RESULTS, results(outcome.rows, origin, untrained))


def results(rows: Sequence[Row], origin: dict[str, Any], untrained: Sequence[str]) -> dict[str, Any]:
    """As `results.json` holds it."""
    return {
        "suite": "theatre",
        "valid": not untrained,
        "untrained": list(untrained),
        "figures": [row.to_json() for row in rows],
        "provenance": origin,
    }


def page(
    rows: Sequence[Row],
    videos: Sequence[tuple[str, str]],
    origin: dict[str, Any],
    untrained: Sequence[str],
) -> str:
    """The page; `videos` are relative paths and prompts."""
    banner = ""
    if untrained:
        told = html.escape(", ".join(untrained))
        banner = f"<p class=invalid>Not a valid result: random weights, not trained: {told}</p>"
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    body = "\n".join(_table_row(row) for row in rows)
    shown = "\n".join(
        f"<figure><video src='{html.escape(path)}' controls loop preload=metadata></video>"
        f"<figcaption>{html.escape(prompt)}</figcaption></figure>"
        for path, prompt in videos
    )
    facts = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in origin.items()
        if not isinstance(value, dict)
    )
    return f"""<!doctype html>
<html lang=en><meta charset=utf-8><title>Theatre suite</title><style>{_STYLE}</style>
<h1>Does it follow its sound, track by track, and its text?</h1>
{banner}
<table><tr>{head}</tr>
{body}
</table>
<h2>Examples</h2>
<p>The first clips, as generated from the first noise. Each column of the sheet is the frame at that time.</p>
{shown}
<p><img src='{SHEET}' alt='frames over the waves of their tracks'></p>
<h2>What was measured</h2>
<table>{facts}</table>
<p>Hashes of the pipeline's files and versions of packages are in <a href='results.json'>results.json</a>.</p>
</html>
"""


def text_row(row: Row) -> str:
    """A line of the table for a terminal."""
    figure = row.figure
    met = {None: "", True: "met", False: "not met"}[figure.met]
    bound = "" if figure.target is None else f"{_target(row)} {met}"
    return f"{figure.claim}: {figure.name}: {_number(figure.value)} {_interval(row)} {bound}".rstrip()


def _table_row(row: Row) -> str:
    figure = row.figure
    note = f"<br><small>{html.escape(figure.note)}</small>" if figure.note else ""
    mark, met = {None: ("", ""), True: ("yes", "yes"), False: ("no", "no")}[figure.met]
    cells = (
        html.escape(figure.claim),
        html.escape(figure.name) + note,
        _number(figure.value),
        _interval(row),
        str(figure.clips),
        html.escape(_target(row)),
        f"<span class='{mark}'>{met}</span>",
        _number(row.ground_truth),
        _number(row.autoencoder),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _target(row: Row) -> str:
    if row.figure.target is None:
        return ""
    return f"{'at most' if row.figure.at_most else 'at least'} {row.figure.target:.2f}"


def _interval(row: Row) -> str:
    low_high = row.figure.interval
    return "" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}"


def _number(value: float | None) -> str:
    return "cannot be told" if value is None else f"{value:.3f}"


def _write_video(out: Path, outcome: Outcome, number: int) -> str:
    name, clip = f"videos/clip_{number:03d}.mp4", outcome.clips[number]
    write_video(
        out / name,
        outcome.frames[number],
        clip.plan.config.fps,
        audio=clip.tracks["mix"],
        sample_rate=TRACK_RATE,
    )
    return name


def _strips(outcome: Outcome) -> list[Strip]:
    pairs = list(zip(outcome.clips, outcome.frames, strict=True))[:SHEET_CLIPS]
    return [Strip(frames, clip.tracks, clip.plan.config.fps) for clip, frames in pairs]
