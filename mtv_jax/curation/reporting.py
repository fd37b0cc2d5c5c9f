"""The data of a curation's report (`mtv_jax.curation.report.page`)."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.curation.accounting import account
from mtv_jax.curation.decide import rules
from mtv_jax.curation.evidence import ClipEvidence
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.report.truth import Truth, against_truth, read_truth, truth_of
from mtv_jax.curation.session import Session
from mtv_jax.curation.settings import Settings
from mtv_jax.curation.verdicts import Verdicts


def report_data(session: Session) -> dict[str, Any]:
    """All that the page shows: JSON values, its clips as they are read, and the folders of their files."""
    verdicts = session.verdicts()
    return {
        "clips": _clips(session, verdicts),
        "prompt": _prompts(session),
        "truth": against_truth(_known(session, verdicts)),
        "off": off(session.settings),
        "sources": _sources(verdicts),
        "rules": [asdict(rule) for rule in rules(session.settings.config, verdicts.population)],
        "accounting": account(verdicts.films, verdicts.clips).to_json(),
        "costs": session.evidences.costs,
        "cards": [
            {"role": role, **card}
            for stage, cards in session.cards.items()
            if stage != "encode"
            for role, card in cards.items()
        ],
        "config": session.settings.config.to_json(),
    }


def _clips(session: Session, verdicts: Verdicts) -> Iterator[dict[str, Any]]:
    """The clips, in the order of the verdicts, which is that of the evidence."""
    rows = iter(verdicts.clips)
    for found in session.evidences:
        for clip, evidence in found.clips.items():
            row = next(rows)
            yield {
                "id": clip,
                "source": row["source"],
                "seconds": float(Fraction(row["end"]) - Fraction(row["start"])),
                "folder": session.layout.clip(row),
                "evidence": verdicts.population.extend(evidence),
                "keep": row["keep"],
                "failures": row["failures"],
                "subsets": row["subsets"],
            }


def _known(session: Session, verdicts: Verdicts) -> Iterator[tuple[ClipEvidence, Truth]]:
    """All of the evidence of the clips of films with their truth beside them, and what is true of each."""
    truths = {film.source: read_truth(Path(film.path)) for film in session.films}
    for row in verdicts.clips:
        parts = truths[row["source"]]
        truth = truth_of(parts, float(Fraction(row["start"])), float(Fraction(row["end"]))) if parts else None
        if truth is not None:
            yield session.evidence(row, session.rows(row)), truth


def _prompts(session: Session) -> Callable[[str], str]:
    return lambda clip: session.evidences.rows(clip)["caption"]["evidence"]["prompt"]


def off(settings: Settings) -> dict[str, str]:
    """Stage -> why it is off, and how to turn it on, of stages that would judge."""
    if settings.frames_only:
        return {"sound": "off: with --frames-only nothing is heard"}
    on = {stage.name for stage in make_stages(settings)}
    set_by = {
        "demixing": "config.demixing.separator is empty; `make spleeter`, then `run --config configs/curate.py`",
        "quality": "config.quality.model is empty",
        "motion": "config.filters.min_motion is None",
        "bars": "config.filters.max_bars is None",
        "sound": "config.filters.min_dbfs and .max_clipped are None",
        "fingerprint": "config.duplicates.on is False",
        "persons": "config.person_detector is empty",
        "speakers": "config.diarizer is empty",
        "speaking": "config.person_detector or config.diarizer is empty",
    }
    return {stage: f"off: {why}" for stage, why in set_by.items() if stage not in on}


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
