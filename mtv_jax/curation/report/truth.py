"""The part of a report that compares evidence with the truth, for films that were made and so are known.

The `film.json` beside such a film has `truth`, a list with an object for each part that is one shot: `start` and `end`,
`subsets`, how many `people` are seen, `speakers` heard and `participants` to be described, the tracks that are `heard`,
and `faces`, each with its middle `x` as a share of the width and when it `speaks`, [[start, end], ...]. All times are
seconds of the film. All but `start` and `end` may be left out: only what is there is compared. No model reads it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.decide import subsets
from mtv_jax.curation.roles import ACTIVE
from mtv_jax.faces.tracks import SAMPLED_FPS
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json
from mtv_jax.io.html import table
from mtv_jax.names import SUBSETS, TRACKS
from mtv_jax.text.template import read_prompt

TRUTH = "truth"
_Z = 1.96

Truth = Mapping[str, Any]
Row = dict[str, Any]


def read_truth(film: Path) -> list[Truth]:
    """The true parts of a film; none unless there are some beside it.

    The file there may be anybody's, since films of a manifest have no description beside them: whatever is no truth in
    it is left out.
    """
    try:
        found = read_json(film.with_suffix(".json"))
    except UserError:
        return []
    parts = found.get(TRUTH) if isinstance(found, dict) else None
    return [_known(part) for part in parts if _is_span(part)] if isinstance(parts, list) else []


def _is_span(part: Any) -> bool:
    return isinstance(part, dict) and _are_numbers([part.get("start"), part.get("end")])


def _known(part: Truth) -> Truth:
    """A part without values of another kind than they should be."""
    return {key: value for key, value in part.items() if key not in _KINDS or _KINDS[key](value)}


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) in (int, float) for value in values)


def _is_count(value: Any) -> bool:
    return type(value) is int


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _are_faces(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(face, dict)
        and _are_numbers([face.get("x")])
        and isinstance(face.get("speaks"), list)
        and all(_are_numbers(turn) and len(turn) == 2 for turn in face["speaks"])
        for face in values
    )


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "subsets": _are_texts,
    "people": _is_count,
    "speakers": _is_count,
    "participants": _is_count,
    "heard": _are_texts,
    "faces": _are_faces,
}


def truth_of(parts: Sequence[Truth], start: float, end: float) -> Truth | None:
    """What is true of a clip: the part that most of it shows, with times from the clip's beginning."""
    for part in parts:
        if min(end, part["end"]) - max(start, part["start"]) > (end - start) / 2:
            found = {**part, "start": part["start"] - start, "end": part["end"] - start}
            if "faces" in part:
                found["faces"] = [
                    {**face, "speaks": [[a - start, b - start] for a, b in face["speaks"]]}
                    for face in part["faces"]
                ]
            return found
    return None


def against_truth(clips: Iterable[tuple[Mapping[str, Any], Truth]]) -> list[Row]:
    """How often each kind of evidence is right, given that of clips, by stage, and what is true of them. Of each:

    `name`, `clips` that have it, `right` (mean share), `interval` (95 %), and how often the evidence has `less` than is
    true, and `more`, in clips or, of who speaks, in frames of faces.
    """
    found: dict[str, list[tuple[list[int], list[int]]]] = {}
    for evidence, truth in clips:
        for name, pair in _pairs(evidence, truth).items():
            found.setdefault(name, []).append(pair)
    return [_row(name, pairs) for name, pairs in found.items()]


def _row(name: str, pairs: Sequence[tuple[list[int], list[int]]]) -> Row:
    apart = [np.subtract(seen, true) for true, seen in pairs]
    right = float(np.mean([np.mean(difference == 0) for difference in apart]))
    return {
        "name": name,
        "clips": len(pairs),
        "right": right,
        "interval": wilson(right, len(pairs)),
        "less": int(sum(np.sum(difference < 0) for difference in apart)),
        "more": int(sum(np.sum(difference > 0) for difference in apart)),
    }


def wilson(share: float, count: int) -> list[float]:
    """95 % interval of a mean of `count` values that are 0 or 1 (Wilson 1927); too wide for values in between."""
    z2 = _Z**2 / count
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * float(np.sqrt(share * (1 - share) / count + z2 / count / 4))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def _pairs(evidence: Mapping[str, Any], truth: Truth) -> dict[str, tuple[list[int], list[int]]]:
    """What is true and what was found, by name, as numbers: one for a clip, or one for each frame of each face."""
    ok = {stage: found for stage, found in evidence.items() if found.get("status") == "ok"}
    pairs: dict[str, tuple[list[int], list[int]]] = {}
    if "separation" in ok and "subsets" in truth:
        labels = subsets(evidence)
        for name in SUBSETS:
            pairs[f"in {name.replace('_', ' ')}"] = [int(name in truth["subsets"])], [int(name in labels)]
    if "separation" in ok and "heard" in truth:
        heard = ok["separation"]["heard"]
        for name in TRACKS:
            pairs[f"{name} is heard"] = [int(name in truth["heard"])], [int(name in heard)]
    if "persons" in ok and "people" in truth:
        pairs["people seen"] = [truth["people"]], [ok["persons"]["count"]]
    if "speakers" in ok and "speakers" in truth:
        pairs["speakers heard"] = [truth["speakers"]], [ok["speakers"]["speakers"]]
    if "persons" in ok and "speakers" in ok and truth.get("faces") and ok["persons"]["frames"]:
        pairs["who speaks, by frame"] = _speaking(ok, truth)
    described = read_prompt(ok["caption"]["prompt"]) if "caption" in ok else None
    if described is not None and "participants" in truth:
        pairs["participants in the caption"] = [truth["participants"]], [len(described.persons)]
    return pairs


def _speaking(ok: Mapping[str, Any], truth: Truth) -> tuple[list[int], list[int]]:
    """Whether each true face speaks in each sampled frame; a track is that of the nearest face."""
    persons, frames = ok["persons"], ok["persons"]["frames"]
    scores = ok.get("speaking", {}).get("scores", [[0.0] * len(t["frames"]) for t in persons["tracks"]])
    middles = np.array([face["x"] for face in truth["faces"]])
    seen = np.zeros((len(middles), frames), int)
    for track, values in zip(persons["tracks"], scores, strict=True):
        x = np.mean([(face["box"][0] + face["box"][2]) / 2 for face in track["faces"]])
        active = [f for f, value in zip(track["frames"], values, strict=True) if value >= ACTIVE]
        seen[int(np.abs(middles - x).argmin()), active] = 1
    times = np.arange(frames) / SAMPLED_FPS
    true = np.zeros_like(seen)
    for row, face in zip(true, truth["faces"], strict=True):
        for start, end in face["speaks"]:
            row[(times >= start) & (times < end)] = 1
    return true.ravel().tolist(), seen.ravel().tolist()


def truth_section(rows: Sequence[Row]) -> str:
    """HTML of `against_truth`; nothing where nothing is known."""
    if not rows:
        return ""
    head = ["", "clips", "right", "95 %", "too little", "too much"]
    lines = []
    for row in rows:
        low, high = row["interval"]
        values = [f"{row['clips']:,}", f"{row['right']:.1%}", f"{low:.1%} to {high:.1%}"]
        cells = "".join(
            f"<td class=n>{value}</td>" for value in [*values, f"{row['less']:,}", f"{row['more']:,}"]
        )
        lines.append(f"<tr><td>{escape(row['name'])}</td>{cells}</tr>")
    note = (
        "The films have their truth beside them. Dropped clips count, too, as far as they have the evidence. The last "
        "two columns count clips; of who speaks, frames of faces. Its interval is wider than it need be."
    )
    return f"<h2>Against the truth</h2><div class=numbers>{table(head, lines)}</div><p>{note}</p>"
