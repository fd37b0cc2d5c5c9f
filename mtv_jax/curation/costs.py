"""What stages have cost, of the rows of a ledger."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.curation.jobs import FILE
from mtv_jax.curation.ledger import ERROR


class Costs:
    """Sums of rows, by stage."""

    def __init__(self):
        self._found: dict[str, dict[str, Any]] = {}
        self._films: dict[str, list[str]] = {}
        """The films that each stage of films has run on."""
        self._clips: dict[str, int] = {}
        """How many clips each film has."""

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds a row."""
        stage = row["stage"]
        none = {"stage": stage, "items": 0, "seconds": 0.0, "peak_bytes": 0, "errors": 0}
        cost = self._found.setdefault(stage, none)
        if row["status"] == ERROR:
            cost["errors"] += 1
        elif "seconds" in row:
            cost["items"] += 1
            cost["seconds"] += row["seconds"]
            cost["peak_bytes"] = max(cost["peak_bytes"], row["peak_bytes"])
            if row["item"] == row["film"]:
                self._films.setdefault(stage, []).append(row["film"])
                if stage == "clips":
                    self._clips[row["film"]] = row["evidence"]["count"]

    def to_json(self) -> list[dict[str, Any]]:
        """By stage: `items`, `seconds`, `clips_per_second`, `peak_bytes` and `errors`, of those that have any.

        A stage of films counts their clips. What is done before there are clips, hashing, counts none: None.
        """
        return [
            cost
            | {
                "seconds": round(cost["seconds"], 4),
                "clips_per_second": _rate(self._clips_of(cost), cost["seconds"]),
            }
            for cost in self._found.values()
            if cost["items"] or cost["errors"]
        ]

    def _clips_of(self, cost: Mapping[str, Any]) -> int:
        if cost["stage"] in self._films:
            return sum(self._clips.get(film, 0) for film in self._films[cost["stage"]])
        return 0 if cost["stage"] == FILE else cost["items"]


def _rate(clips: int, seconds: float) -> float | None:
    return clips / seconds if clips and seconds else None
