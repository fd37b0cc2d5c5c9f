"""The page of a curation's report: one file of HTML that needs no network, and its numbers as JSON beside it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mtv_jax.curation.report.captions import captions, captions_section
from mtv_jax.curation.report.charts import bar, histogram_chart, upset_chart
from mtv_jax.curation.report.clips import Clips
from mtv_jax.curation.report.gallery import Gallery, around_marks
from mtv_jax.curation.report.summary import DEMIX, MARKS, summarise
from mtv_jax.curation.report.truth import truth_section
from mtv_jax.io.files import write_json, write_text
from mtv_jax.io.html import chips, document, table
from mtv_jax.names import SUBSETS

_SOURCES = 200
"""Sources that are listed on the page; the JSON has all."""
_EACH = 4
"""Clips that are shown for a reason or a subset."""
_STYLE = """
svg{display:block;margin:.2rem 0}svg.chart{width:100%;max-width:40rem;height:auto}
svg.bar{display:inline-block;vertical-align:middle}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
.kept{fill:var(--bar)}.dropped{fill:var(--bad);opacity:.75}.back{fill:var(--line);opacity:.5}
.shade{fill:var(--bad);opacity:.09}.cut{stroke:var(--bad);stroke-width:2}.mark{stroke:var(--soft);stroke-dasharray:2 3}
.axis{stroke:var(--line);stroke-width:2}circle{fill:var(--bar)}
.clips{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:1rem}
.join{stroke:var(--bar);stroke-width:3}audio{width:100%;height:2rem}h3{font-size:1rem;margin:1.5rem 0 .3rem}
.numbers thead th:not(:first-child){text-align:right}.marks .clips{grid-template-columns:repeat(3,minmax(0,1fr))}
.clips p{margin:0}figcaption{overflow-wrap:anywhere}pre{overflow-x:auto;font-size:.83rem}
"""


def write_report(path: Path, data: Mapping[str, Any]) -> None:
    """Writes the page to `path`, and its numbers to a file of that name with the suffix `.json`.

    `data`:
      clips: read once; of each `id`, `source`, `seconds`, `folder` (with `clip.mp4` and `mix.flac`, if they are still
        there), `evidence` (stage -> evidence), `keep`, `failures` in order, `subsets`.
      sources: of each `name`, `kind`, `licence`, `seconds`, `status`, `reason`, `clips`, `kept`.
      prompt: id -> the caption of a clip.
      truth: how often the evidence is right (`mtv_jax.curation.report.truth.against_truth`).
      off: stage -> why it is off and how to turn it on, of stages that judge.
      rules: the cut-offs (`mtv_jax.curation.decide.Rule` as dicts).
      accounting: `seconds` in, `kept`, `rejected` by reason, `overlap`.
      costs: of each stage `stage`, `items`, `seconds`, `clips_per_second`, `peak_bytes`, `errors`.
      cards: the models with their `role`.
      config: the config as JSON.

    The page has a bounded size: numbers of clips, and pictures and sounds of at most 12 MB.
    """
    clips = Clips(data["clips"])
    numbers = summarise(data, clips)
    numbers["captions"] = captions(clips)
    numbers["truth"] = data["truth"]
    judged = [score for score in numbers["scores"] if score["cuts"]]
    others = [score for score in numbers["scores"] if not score["cuts"]]
    gallery = Gallery(path.parent)  # which fills up in this order
    shown = [
        _scores(judged, clips, gallery),
        _dropped(numbers["funnel"], clips, gallery),
        _kept(clips, gallery, numbers["subsets"]["sizes"]),
        captions_section(numbers["captions"], clips, gallery, data["prompt"]),
        _other_scores(others, clips, gallery),
    ]
    body = [
        f"<h1>Curation: {numbers['kept']:,} of {numbers['clips']:,} clips kept</h1>",
        _summary(numbers),
        _against_paper(numbers["table"]),
        _funnel(numbers["funnel"], numbers["clips"]),
        _subsets(numbers["subsets"]),
        truth_section(numbers["truth"]),
        _demixing(numbers["demixing"]),
        _silent_judges(numbers["silent_judges"]),
        _accounting(numbers["accounting"]),
        *shown,
        _costs(numbers["costs"]),
        _models(numbers["models"]),
        _sources(numbers["sources"]),
        _config(numbers["config"], path.with_suffix(".json").name),
    ]
    write_text(path, "".join(document("Curation", body, _STYLE)))
    write_json(path.with_suffix(".json"), numbers)


def _summary(numbers: Mapping[str, Any]) -> str:
    sources, row = numbers["sources"], numbers["table"][0]
    failed = sum(1 for source in sources if source["status"] != "ok")
    facts = [f"sources: {len(sources):,}", f"{numbers['accounting']['seconds'] / 3600:,.2f} hours in"]
    facts += [f"{row['hours']:,.2f} hours kept"]
    facts += [f"quarantined: {failed:,}"] if failed else []
    stubs = [card for card in numbers["models"] if card.get("fidelity") == "stub"]
    facts += [f"not to be released: {card['role']} is by {card['name']}, a stub" for card in stubs]
    return chips(facts)


def _against_paper(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["data set", "clips", "hours", *(name.replace("_", " ") for name in SUBSETS)]
    lines = []
    for row in rows:
        hours = f"{row['hours']:,.0f}" if row["hours"] >= 100 else f"{row['hours']:.3g}"
        values = [f"{row['clips']:,}", hours, *(f"{row['subsets'][name]:,}" for name in SUBSETS)]
        lines.append(_row([row["name"], *values]))
    note = (
        "Both: text and audio; people, objects and cinematic scenes; speech, effects and music, demixed. A clip may be "
        f"in several subsets, but a basic face is in no other. Of the paper's {DEMIX['clips']:,} clips 1,000 are held "
        "out for testing; its sources: CelebV-HQ 65 h, MovieBench 69 h, Condensed Movies 1,270 h, Short-Films-20K "
        "3,584 h, videos from YouTube 8,903 h."
    )
    return f"<h2>Beside the paper's</h2>{_numbers(head, lines)}<p>{escape(note)}</p>"


def _funnel(rows: Sequence[Mapping[str, Any]], clips: int) -> str:
    head = ["reason", "first failure", "all failures", "only failure", "left", ""]
    lines = [_row(["all clips", "", "", "", f"{clips:,}"], bar(clips, clips))]
    for row in rows:
        values = [row["reason"], *(f"{row[key]:,}" for key in ("first", "all", "alone", "left"))]
        lines.append(_row(values, bar(row["left"], clips)))
    note = "Without a reason, the clips of which it is the only failure would be kept."
    return f"<h2>Funnel</h2>{_numbers(head, lines)}<p>{note}</p>"


def _subsets(subsets: Mapping[str, Any]) -> str:
    return f"<h2>Subsets and their overlap</h2>{upset_chart(subsets)}"


def _demixing(compared: Mapping[str, int]) -> str:
    if not compared:
        return ""
    whole = sum(compared.values())
    labels = {
        "effects": "with the effects: no music",
        "music": "with the music: no effects",
        "none": "with nothing: both are heard, or neither; only the speech is compared",
    }
    lines = [
        _row([label, f"{compared.get(key, 0):,}", f"{compared.get(key, 0) / whole:.1%}"])
        for key, label in labels.items()
    ]
    head = ["the second separator's rest is compared", "clips", "share"]
    return f"<h2>Demixing filter: how often there is something to compare</h2>{_numbers(head, lines)}"


def _silent_judges(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [_row([row["stage"], row["reason"], f"{row['clips']:,}"], plain=True) for row in rows]
    return f"<h2>What did not judge</h2>{table(['stage', 'because', 'clips not judged by it'], lines)}"


def _accounting(balance: Mapping[str, Any]) -> str:
    whole = balance["seconds"]
    rows = [("kept", balance["kept"]), ("in more than one clip (subtracted)", balance["overlap"])]
    rows += [(f"rejected: {reason}", seconds) for reason, seconds in balance["rejected"].items()]
    rows.append(("not accounted for", balance["missing"]))
    lines = [_row(["in", f"{whole:,.2f}", ""], bar(1, 1))]
    for name, seconds in rows:
        share = f"{seconds / whole:.1%}" if whole else ""
        lines.append(_row([name, f"{seconds:,.2f}", share], bar(max(seconds, 0), whole)))
    return f"<h2>Seconds</h2>{_numbers(['', 'seconds', 'share', ''], lines)}"


def _scores(scores: Sequence[Mapping[str, Any]], clips: Clips, gallery: Gallery) -> str:
    parts = ["<h2>Scores and their cut-offs</h2>"]
    parts.append(
        "<p>Blue clips are kept, red ones dropped by this or another rule; the shaded side is cut off.</p>"
    )
    parts += [_score(score) + _marks(score, clips, gallery, each=3) for score in scores]
    return "\n".join(parts)


def _other_scores(scores: Sequence[Mapping[str, Any]], clips: Clips, gallery: Gallery) -> str:
    if not scores:
        return ""
    parts = [_score(score) + _marks(score, clips, gallery, each=1) for score in scores]
    folded = f"<details><summary>{len(scores)} scores</summary>{''.join(parts)}</details>"
    return f"<h2>Scores without a cut-off</h2>{folded}"


def _score(score: Mapping[str, Any]) -> str:
    cuts = "".join(f", “{cut['name']}”: {cut['bound']} {cut['threshold']:g}" for cut in score["cuts"])
    counts = _count(score["clips"]) + (f", {score['without']:,} without it" if score["without"] else "")
    head = f"<h3>{escape(score['name'])}<small>{escape(cuts)} — {counts}</small></h3>"
    return head + histogram_chart(score)


def _marks(score: Mapping[str, Any], clips: Clips, gallery: Gallery, each: int) -> str:
    found = around_marks(clips, score["name"], each)
    shown = [(mark, number) for mark, near in found.items() for number in near]
    notes = [f"{mark} %: {clips.score(score['name'])[number]:.4g}" for mark, number in shown]
    drawn = gallery.show([clips[number] for _, number in shown], notes)
    title = f"clips around the {', '.join(str(mark) for mark in MARKS)} % marks"
    return f"<details class=marks><summary>{title}</summary>{drawn}</details>"


def _dropped(rows: Sequence[Mapping[str, Any]], clips: Clips, gallery: Gallery) -> str:
    parts = ["<h2>Dropped clips, by reason</h2>"] if rows else []
    for row in rows:
        failed = (number for number, failures in enumerate(clips.failures) if row["reason"] in failures)
        drawn = _sample(failed, clips, gallery)
        parts.append(f"<h3>{escape(row['reason'])}<small> — {_count(row['all'])}</small></h3>{drawn}")
    return "\n".join(parts)


def _kept(clips: Clips, gallery: Gallery, sizes: Mapping[str, int]) -> str:
    parts = ["<h2>Kept clips, by subset</h2>"] if clips.keep.any() else []
    for name in SUBSETS:
        if sizes[name]:
            members = (number for number, subsets in enumerate(clips.subsets) if name in subsets)
            drawn = _sample(members, clips, gallery)
            parts.append(f"<h3>{name.replace('_', ' ')}<small> — {_count(sizes[name])}</small></h3>{drawn}")
    return "\n".join(parts)


def _sample(numbers: Iterable[int], clips: Clips, gallery: Gallery) -> str:
    found = [clips[number] for number in clips.sample(numbers, _EACH)]
    return gallery.show(found, [f"{clip['seconds']:.2f} s" for clip in found])


def _costs(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["stage", "items", "seconds", "clips a second", "peak memory, MB", "errors"]
    lines = [
        _row(
            [
                row["stage"],
                f"{row['items']:,}",
                f"{row['seconds']:,.1f}",
                "" if row["clips_per_second"] is None else f"{row['clips_per_second']:.3g}",
                f"{row['peak_bytes'] / 1e6:,.0f}" if row["peak_bytes"] else "",
                f"{row['errors']:,}",
            ]
        )
        for row in rows
    ]
    return f"<h2>Cost by stage</h2>{_numbers(head, lines)}"


def _models(cards: Sequence[Mapping[str, Any]]) -> str:
    keys = ("role", "name", "version", "licence", "fidelity", "weights")
    lines = [_row([str(card.get(key) or "")[:24] for key in keys], plain=True) for card in cards]
    return f"<h2>Models</h2>{table(keys, lines)}"


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    order = sorted(sources, key=lambda source: (source["status"] == "ok", source["name"]))
    head = ["source", "kind", "licence", "seconds", "clips", "kept", "quarantined because"]
    lines = [_source(source) for source in order[:_SOURCES]]
    more = len(order) - _SOURCES
    note = f"<p>{more:,} more are in the JSON file.</p>" if more > 0 else ""
    return f"<h2>Sources</h2>{table(head, lines)}{note}"


def _source(source: Mapping[str, Any]) -> str:
    seconds = "" if source["seconds"] is None else f"{source['seconds']:,.2f}"
    texts = [source["name"], source["kind"], source["licence"], seconds, source["clips"], source["kept"]]
    reason = "" if source["status"] == "ok" else source["reason"] or source["status"]
    return _row([*(str(text) for text in texts), reason], plain=True)


def _count(clips: int) -> str:
    return f"{clips:,} clip{'' if clips == 1 else 's'}"


def _config(config: Any, numbers: str) -> str:
    text = escape(json.dumps(config, indent=2, ensure_ascii=False))
    link = (
        f"<p>The numbers of this page, for programs: <a href='{escape(numbers)}'>{escape(numbers)}</a>.</p>"
    )
    return f"<h2>Config</h2><details><summary>all thresholds</summary><pre>{text}</pre></details>{link}"


def _numbers(head: Sequence[str], rows: Sequence[str]) -> str:
    """A table of numbers, but for its first column."""
    return f"<div class=numbers>{table(head, rows)}</div>"


def _row(values: Sequence[str], drawing: str = "", *, plain: bool = False) -> str:
    """A row whose first value is a name and the others numbers, unless all are `plain` text; then a drawing."""
    kind = "" if plain else " class=n"
    cells = f"<td>{escape(values[0])}</td>" + "".join(f"<td{kind}>{escape(v)}</td>" for v in values[1:])
    return f"<tr>{cells}{f'<td>{drawing}</td>' if drawing else ''}</tr>"
