"""The numbers of a report, from verdicts and evidence. Pure; all values are JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtv_jax.curation.report.clips import Clips
from mtv_jax.names import SUBSETS

MARKS = (25, 50, 75)
"""Percentiles of a score at which clips are shown."""
_BINS = 40

DEMIX = {
    "name": "DEMIX (MTV, Table 1)",
    "clips": 392_000,
    "hours": 1200.0,
    "subsets": {
        "basic_face": 18_000,
        "single_character": 54_000,
        "multiple_characters": 39_000,
        "sound_event": 166_000,
        "visual_mood": 195_000,
    },
}
"""The paper's data set: sizes in clips, of which 1,000 are held out."""


def summarise(data: Mapping[str, Any], clips: Clips) -> dict[str, Any]:
    """The numbers of the page (`mtv_jax.curation.report.page.write_report`), without its pictures."""
    return {
        "clips": len(clips),
        "kept": int(clips.keep.sum()),
        "funnel": funnel(clips, [rule["name"] for rule in data["rules"]]),
        "scores": histograms(clips, data["rules"]),
        "subsets": overlap(clips),
        "table": [table_row("this data set", clips), DEMIX],
        "demixing": dict(clips.compared),
        "silent_judges": silent_judges(data["off"], clips),
        "accounting": balance(data["accounting"]),
        "costs": [dict(row) for row in data["costs"]],
        "sources": [dict(source) for source in data["sources"]],
        "models": [dict(card) for card in data["cards"]],
        "config": data["config"],
    }


def funnel(clips: Clips, rules: Sequence[str]) -> list[dict[str, Any]]:
    """For each reason: the clips that failed by it `first`, by it among others (`all`), by it `alone`; those `left`.

    In the order of decisions: stages that failed, the rules, then all else.
    """
    first: Counter[str] = Counter()
    every: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for failures, count in Counter(clips.failures).items():
        first.update(dict.fromkeys(failures[:1], count))
        every.update(dict.fromkeys(failures, count))
        alone.update(dict.fromkeys(failures if len(failures) == 1 else (), count))
    left, rows = len(clips), []
    for reason in sorted(every, key=lambda reason: (_order(reason, rules), reason)):
        left -= first[reason]
        row = {"reason": reason, "first": first[reason], "all": every[reason], "alone": alone[reason]}
        rows.append(row | {"left": left})
    return rows


def _order(reason: str, rules: Sequence[str]) -> int:
    if reason in rules:
        return rules.index(reason)
    return -1 if reason.endswith(" failed") else len(rules)


def histograms(clips: Clips, rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The distributions of all scores with a cut-off, and of the other numbers unless they are equal in all clips."""
    found = [histogram(clips, name, rules) for name in clips.scores]
    return [score for score in found if score["cuts"] or score["varies"]]


def histogram(clips: Clips, name: str, rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The distribution of a score: edges of bins, kept and dropped clips in each, marks, and its cut-offs.

    The bins span the central 99 %; values beyond are in the outer bins. `edges` is empty without finite values.
    """
    finite = np.isfinite(clips.score(name))
    values, kept = clips.score(name)[finite], clips.keep[finite]
    cuts = [
        {key: rule[key] for key in ("name", "bound", "threshold")}
        for rule in rules
        if f"{rule['stage']}.{rule['score']}" == name
    ]
    found: dict[str, Any] = {
        "name": name,
        "clips": len(values),
        "without": len(clips) - len(values),
        "cuts": cuts,
    }
    if not len(values):
        return found | {"varies": False, "edges": [], "kept": [], "dropped": [], "marks": {}}
    low, high = np.percentile(values, [0.5, 99.5])
    if low == high:  # all are alike: twice as far as to the cut-off
        high = low + (2 * max((abs(cut["threshold"] - low) for cut in cuts), default=0) or 1)
    edges = np.linspace(low, high, _BINS + 1)
    inside = np.clip(values, edges[0], edges[-1])
    counts = [np.histogram(inside[which], edges)[0].tolist() for which in (kept, ~kept)]
    marks = {str(mark): float(np.percentile(values, mark)) for mark in MARKS}
    found |= {"varies": bool(np.ptp(values) > 0), "edges": edges.tolist(), "marks": marks}
    return found | {"kept": counts[0], "dropped": counts[1]}


def overlap(clips: Clips) -> dict[str, Any]:
    """Sizes of the subsets, and of the intersections that kept clips are in exactly, the largest first."""
    kept = Counter(subsets for subsets, keep in zip(clips.subsets, clips.keep, strict=True) if keep)
    sizes = {name: sum(n for subsets, n in kept.items() if name in subsets) for name in SUBSETS}
    exact = sorted(kept.items(), key=lambda item: (-item[1], item[0]))
    return {"sizes": sizes, "intersections": [{"subsets": list(names), "clips": n} for names, n in exact]}


def table_row(name: str, clips: Clips) -> dict[str, Any]:
    """Clips and hours that are kept, and the sizes of the subsets, as DEMIX's row of the paper gives them."""
    hours = float(clips.seconds[clips.keep].sum()) / 3600
    return {"name": name, "clips": int(clips.keep.sum()), "hours": hours, "subsets": overlap(clips)["sizes"]}


def silent_judges(off: Mapping[str, str], clips: Clips) -> list[dict[str, Any]]:
    """The stages that judged nothing, or not all clips: `stage`, `reason`, and the number of `clips` concerned."""
    rows = [{"stage": stage, "reason": reason, "clips": len(clips)} for stage, reason in off.items()]
    return rows + [
        {"stage": stage, "reason": reason, "clips": count}
        for (stage, reason), count in clips.unjudged.items()
    ]


def balance(accounting: Mapping[str, Any]) -> dict[str, Any]:
    """The accounting of seconds, and how many of those that went in are `missing` from kept + rejected - overlap."""
    parts = accounting["kept"] + sum(accounting["rejected"].values()) - accounting["overlap"]
    missing = round(accounting["seconds"] - parts, 6) + 0.0  # not the rounding of sums, nor a negative zero
    return dict(accounting) | {"missing": missing}
