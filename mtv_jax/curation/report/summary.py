"""The numbers of a report, from verdicts and evidence. Pure; all values are JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mtv_jax.names import SUBSETS

Clip = Mapping[str, Any]
"""`id`, `source`, `seconds`, `folder`, `evidence` (stage -> evidence), `keep`, `failures` in order, `subsets`."""

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


def summarise(data: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of the page (`mtv_jax.curation.report.page.write_report`), without its pictures."""
    clips = data["clips"]
    return {
        "clips": len(clips),
        "kept": sum(1 for clip in clips if clip["keep"]),
        "funnel": funnel(clips, [rule["name"] for rule in data["rules"]]),
        "scores": histograms(clips, data["rules"]),
        "subsets": overlap(clips),
        "table": [table_row("this data set", clips), DEMIX],
        "demixing": compared(clips),
        "accounting": balance(data["accounting"]),
        "costs": [dict(row) for row in data["costs"]],
        "sources": [dict(source) for source in data["sources"]],
        "models": [dict(card) for card in data["cards"]],
        "config": data["config"],
    }


def funnel(clips: Sequence[Clip], rules: Sequence[str]) -> list[dict[str, Any]]:
    """For each reason: the clips that failed by it `first`, by it among others (`all`), by it `alone`; those `left`.

    In the order of decisions: stages that failed, the rules, then all else.
    """
    first = Counter(clip["failures"][0] for clip in clips if clip["failures"])
    every = Counter(reason for clip in clips for reason in clip["failures"])
    alone = Counter(clip["failures"][0] for clip in clips if len(clip["failures"]) == 1)
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


def score_names(clips: Sequence[Clip]) -> list[str]:
    """All numbers in evidence by name, `stage.score` or `stage.score.key`, in order of the stages' first clip."""
    return list(dict.fromkeys(name for clip in clips for name, _ in _numbers(clip["evidence"])))


def _numbers(evidence: Mapping[str, Any], prefix: str = "", depth: int = 3) -> Iterator[tuple[str, float]]:
    for key, value in evidence.items():
        if isinstance(value, Mapping) and depth > 1:
            yield from _numbers(value, f"{prefix}{key}.", depth - 1)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and prefix:
            yield f"{prefix}{key}", float(value)


def score_of(clip: Clip, name: str) -> float | None:
    """A clip's score `stage.score`, None without."""
    value: Any = clip["evidence"]
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def histograms(clips: Sequence[Clip], rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The distributions of all scores with a cut-off, and of the other numbers unless they are equal in all clips."""
    found = [histogram(clips, name, rules) for name in score_names(clips)]
    return [score for score in found if score["cuts"] or score["varies"]]


def histogram(clips: Sequence[Clip], name: str, rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The distribution of a score: edges of bins, kept and dropped clips in each, marks, and its cut-offs.

    The bins span the central 99 %; values beyond are in the outer bins. `edges` is empty without finite values.
    """
    pairs = [(value, clip["keep"]) for clip in clips if (value := score_of(clip, name)) is not None]
    values = np.array([value for value, _ in pairs])
    kept = np.array([keep for _, keep in pairs], bool)
    finite = np.isfinite(values)
    values, kept = values[finite], kept[finite]
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
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    inside = np.clip(values, edges[0], edges[-1])
    counts = [np.histogram(inside[which], edges)[0].tolist() for which in (kept, ~kept)]
    marks = {str(mark): float(np.percentile(values, mark)) for mark in MARKS}
    found |= {"varies": bool(np.ptp(values) > 0), "edges": edges.tolist(), "marks": marks}
    return found | {"kept": counts[0], "dropped": counts[1]}


def overlap(clips: Sequence[Clip]) -> dict[str, Any]:
    """Sizes of the subsets, and of the intersections that kept clips are in exactly, the largest first."""
    kept = [tuple(clip["subsets"]) for clip in clips if clip["keep"]]
    sizes = {name: sum(1 for subsets in kept if name in subsets) for name in SUBSETS}
    exact = sorted(Counter(kept).items(), key=lambda item: (-item[1], item[0]))
    return {"sizes": sizes, "intersections": [{"subsets": list(names), "clips": n} for names, n in exact]}


def table_row(name: str, clips: Sequence[Clip]) -> dict[str, Any]:
    """Clips and hours that are kept, and the sizes of the subsets, as DEMIX's row of the paper gives them."""
    kept = [clip for clip in clips if clip["keep"]]
    hours = sum(clip["seconds"] for clip in kept) / 3600
    return {"name": name, "clips": len(kept), "hours": hours, "subsets": overlap(clips)["sizes"]}


def compared(clips: Sequence[Clip]) -> dict[str, int]:
    """With which track the demixing filter compared the second separator's rest -> clips; `none`: with nothing."""
    found = [
        clip["evidence"]["demixing"] for clip in clips if "compared" in clip["evidence"].get("demixing", {})
    ]
    return dict(Counter(evidence["compared"] or "none" for evidence in found))


def balance(accounting: Mapping[str, Any]) -> dict[str, Any]:
    """The accounting of seconds, and how many of those that went in are `missing` from kept + rejected - overlap."""
    parts = accounting["kept"] + sum(accounting["rejected"].values()) - accounting["overlap"]
    return dict(accounting) | {"missing": accounting["seconds"] - parts}
