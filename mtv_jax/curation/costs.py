"""What stages have cost, of the rows of a ledger."""

from collections.abc import Mapping
from typing import Any

from mtv_jax.curation.ledger import ERROR


class Costs:
    """Sums of rows, by stage."""

    def __init__(self):
        self._found: dict[str, dict[str, Any]] = {}

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

    def to_json(self) -> list[dict[str, Any]]:
        """By stage: `items`, `seconds`, items `per_second`, `peak_bytes` and `errors`, of those that have any."""
        return [
            cost
            | {
                "seconds": round(cost["seconds"], 4),
                "per_second": cost["items"] / cost["seconds"] if cost["seconds"] else None,
            }
            for cost in self._found.values()
            if cost["items"] or cost["errors"]
        ]
