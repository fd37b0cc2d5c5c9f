"""The data of a curation's report (`mtv_jax.curation.report.page`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.curation.accounting import account
from mtv_jax.curation.decide import rules
from mtv_jax.curation.ledger import read_ledger
from mtv_jax.curation.report.truth import TRUTH, Truth, read_truth, truth_of
from mtv_jax.curation.session import Session
from mtv_jax.curation.summaries import costs
from mtv_jax.curation.verdicts import Verdicts


def report_data(session: Session) -> dict[str, Any]:
    """All that the page shows, as JSON values, and the folders of the clips' files."""
    verdicts = session.verdicts()
    truths = {film.source: read_truth(Path(film.path)) for film in session.films}
    return {
        "clips": [_clip(session, clip, truths[clip["source"]]) for clip in verdicts.clips],
        "sources": _sources(verdicts),
        "rules": [asdict(rule) for rule in rules(session.settings.config)],
        "accounting": account(verdicts.films, verdicts.clips).to_json(),
        "costs": costs(read_ledger(session.layout.ledger)),
        "cards": [
            {"role": role, **card}
            for stage, cards in session.cards.items()
            if stage != "encode"
            for role, card in cards.items()
        ],
        "config": session.settings.config.to_json(),
    }


def _clip(session: Session, clip: dict[str, Any], truth: Sequence[Truth]) -> dict[str, Any]:
    return {
        "id": clip["clip"],
        "source": clip["source"],
        "seconds": float(Fraction(clip["end"]) - Fraction(clip["start"])),
        "folder": session.layout.clip(clip["film"], clip["clip"]),
        "evidence": session.evidence(clip["clip"]),
        "keep": clip["keep"],
        "failures": clip["failures"],
        "subsets": clip["subsets"],
        TRUTH: truth_of(truth, float(Fraction(clip["start"])), float(Fraction(clip["end"]))),
    }


def _sources(verdicts: Verdicts) -> list[dict[str, Any]]:
    kept = Counter(clip["source"] for clip in verdicts.kept)
    return [
        {
            "name": film["source"],
            "id": film["film"],
            "kind": film["kind"],
            "licence": film["licence"],
            "seconds": None if film["seconds"] is None else float(Fraction(film["seconds"])),
            "status": "ok" if film["reason"] is None else "error",
            "reason": film["reason"],
            "clips": film["clips"],
            "kept": kept[film["source"]],
        }
        for film in verdicts.films
    ]
