"""The page of separated mixes: pictures, players, levels and models of their tracks, in one file of HTML.

Pictures are in the page; sounds are played from where they lie, by relative path.
"""

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from mtv_jax.audio.separation.batch import Outcome
from mtv_jax.audio.separation.files import PAGE, is_clipped
from mtv_jax.audio.separation.pictures import RANGE_DB, draw_tracks
from mtv_jax.io.files import atomic_path, shown
from mtv_jax.io.html import chips, document, table
from mtv_jax.io.progress import progress

_STYLE = """
audio{width:17rem;height:2.2rem;display:block}
td small{white-space:nowrap}
"""
_ABOUT = (
    "In each picture all tracks have the time axis and the amplitude scale of their mix, which is drawn as the sum of "
    f"its tracks. Colours are levels from {RANGE_DB[0]:g} to {RANGE_DB[1]:g} dB in all pictures; a sine at full scale "
    "has 0 dB. A track is silent if its level (RMS) is below the threshold of its separator. Shares are of the mix's "
    "energy; they need not add up to 100 %."
)
_QUALITY = 80


def write_page(out: Path, outcomes: Sequence[Outcome], ignored: Mapping[Path, str]) -> Path:
    """Writes the page into the folder of all results, and returns its path; `ignored` is that of `find_mixes`.

    Only one picture is in memory at a time.
    """
    path = out / PAGE
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for part in document("Separated tracks", _body(out, outcomes, ignored), _STYLE):
            file.write(part)
    return path


def _body(out: Path, outcomes: Sequence[Outcome], ignored: Mapping[Path, str]) -> Iterator[str]:
    made = [(outcome.job, outcome.report) for outcome in outcomes if outcome.report is not None]
    failed = [outcome for outcome in outcomes if outcome.report is None]
    facts = [f"{len(made)} separated", *([f"{len(failed)} failed"] if failed else [])]
    facts += sorted({f"separator {report['separator']}" for _, report in made})
    yield "<h1>Separated tracks</h1>"
    yield chips(facts)
    yield f"<p>{_ABOUT}</p>"
    for job, report in progress(made, "drawing"):
        yield _mix(out, job.mix, job.out, report)
    if failed:
        files = [shown(outcome.job.mix) for outcome in failed]
        reasons = [outcome.reason for outcome in failed]
        rows = [(file, why.removeprefix(f"{file}: ")) for file, why in zip(files, reasons, strict=True)]
        yield f"<h2>Not separated</h2>\n{table(['file', 'why'], map(_row, rows))}"
    if ignored:
        rows = [(shown(path), reason) for path, reason in ignored.items()]
        yield f"<details><summary>Ignored</summary>{table(['file', 'why'], map(_row, rows))}</details>"


def _mix(out: Path, mix: Path, folder: Path, report: dict[str, Any]) -> str:
    """What there is of one mix: a picture, and a table with a row for it and for each track."""
    tracks = report["tracks"]
    seconds = report["samples"] / report["sample_rate"]
    picture = _embedded({name: folder / track["file"] for name, track in tracks.items()})
    level = f"<td class=n>{report['mix']['rms_dbfs']:.1f} dBFS</td>"
    rows = [f"<tr><td>mix</td><td>{_player(out, mix)}</td>{level}{'<td></td>' * 3}</tr>"]
    rows += [_track(out, folder, name, track) for name, track in tracks.items()]
    title = escape(shown(mix.name if folder == out else folder.relative_to(out)))
    return "\n".join(
        [
            f"<h2>{title}</h2>",
            f"<p>{escape(shown(mix))}: {seconds:.1f} s, {report['channels']} "
            f"channel{'s' * (report['channels'] != 1)}, {report['sample_rate']} Hz</p>",
            f"<figure><img src='{picture}' alt='waves and spectrograms of the mix and its tracks'></figure>",
            table(["track", "listen", "level", "share", "silent", "made by"], rows),
        ]
    )


def _track(out: Path, folder: Path, name: str, track: dict[str, Any]) -> str:
    model = track["model"]
    weights = f", weights {model['weights'][:12]}" if model["weights"] else ""
    share = "" if track["share"] is None else f"{100 * track['share']:.1f} %"
    clipped = "<br><span class=no>clipped</span>" if is_clipped(track) else ""
    silent = "yes" if track["silent"] else "no"
    cells = [
        f"<td>{escape(name)}</td>",
        f"<td>{_player(out, folder / track['file'])}</td>",
        f"<td class=n>{track['rms_dbfs']:.1f} dBFS{clipped}</td>",
        f"<td class=n>{share}</td>",
        f"<td>{silent}<br><small>below {track['silent_dbfs']:g} dBFS</small></td>",
        f"<td>{escape(model['name'])} {escape(model['version'])}<br>"
        f"<small>{escape(model['fidelity'])}, {escape(model['licence'])}{weights}</small></td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _player(out: Path, file: Path) -> str:
    """Plays a file by its path relative to the page, if it has one."""
    try:
        source = quote(os.fsencode(os.path.relpath(file, out).replace(os.sep, "/")))
    except ValueError:  # on another drive
        source = file.absolute().as_uri()
    return f"<audio src='{source}' controls preload=none></audio>"


def _embedded(tracks: Mapping[str, Path]) -> str:
    """The picture of tracks as a data URL."""
    data = io.BytesIO()
    Image.fromarray(draw_tracks(tracks)).save(data, "webp", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"


def _row(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
