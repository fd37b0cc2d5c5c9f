"""Whether a data set may be given to others."""

import re
from collections.abc import Mapping
from typing import Any

from mtv_jax.curation.verdicts import Verdicts

_NONCOMMERCIAL = re.compile(r"\bNC\b|non-?commercial|research only", re.IGNORECASE)
_NONE = ("", "unknown", "none stated", "none")


def release_problems(cards: Mapping[str, Mapping[str, Any]], verdicts: Verdicts) -> list[str]:
    """What forbids it, in words: models and sources that are stubs, without a licence, or not for commercial use.

    `cards` are those of the stages (stage -> role -> card).
    """
    problems = []
    for stage, models in cards.items():
        for role, card in models.items():
            if stage != "encode":
                problems += [f"{role} is by {card['name']}, {why}" for why in _model_problems(card)]
    kept = {clip["source"] for clip in verdicts.kept}
    for film in verdicts.films:
        why = _licence_problem(film["licence"])
        if film["source"] in kept and why:
            problems.append(f"source {film['source']} is {why}")
    return problems


def _model_problems(card: Mapping[str, Any]) -> list[str]:
    stub = ["a stub"] if card["fidelity"] == "stub" else []
    why = _licence_problem(card["licence"])
    return [*stub, why] if why else stub


def _licence_problem(licence: str) -> str | None:
    if licence.lower() in _NONE:
        return "without a licence"
    return f"not for commercial use ({licence})" if _NONCOMMERCIAL.search(licence) else None
