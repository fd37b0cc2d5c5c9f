"""What the commands print of a curation."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mtv_jax.curation.accounting import account
from mtv_jax.curation.budget import estimate
from mtv_jax.curation.ledger import ERROR
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.session import Session
from mtv_jax.curation.settings import Settings
from mtv_jax.curation.sources import Sources
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.names import SUBSETS


def plan_lines(settings: Settings, sources: Sources, missing: Sequence[str]) -> list[str]:
    """Films, clips and bytes about, licences, and models that are missing."""
    found = estimate(settings, sources.found)
    licences = Counter(source.licence for source in sources.found)
    lines = [
        f"{settings.videos}: {found.films} films of {found.seconds / 3600:.2f} h, {found.unread} of them unreadable",
        f"at most {found.clips} clips of {settings.size.num_frames} frames; about {found.total / 2**30:.2f} GiB",
        *(f"licence {name}: {count} films" for name, count in sorted(licences.items())),
    ]
    unnamed = sum(source.prompt is None for source in sources.found)
    if settings.config.captioner == "sidecar" and unnamed:
        lines.append(f"{unnamed} films have no prompt beside them: their clips will have no caption")
    return lines + [f"missing: {reason}" for reason in missing]


def funnel(verdicts: Verdicts) -> str:
    """How many clips are kept, why the others are not, and how many each subset has."""
    first = Counter(clip["failures"][0] for clip in verdicts.clips if not clip["keep"])
    lines = [f"{len(verdicts.clips)} clips of {len(verdicts.films)} films, {len(verdicts.kept)} kept"]
    lines += [f"  {count} dropped: {reason}" for reason, count in first.most_common()]
    members = Counter(name for clip in verdicts.kept for name in clip["subsets"])
    lines += [f"  {name}: {members[name]}" for name in SUBSETS if members[name]]
    total = account(verdicts.films, verdicts.clips).to_json()
    lost = sum(total["rejected"].values())
    lines.append(
        f"{total['seconds']:.1f} s in = {total['kept']:.1f} kept + {lost:.1f} rejected - {total['overlap']:.1f} overlap"
    )
    return "\n".join(lines)


def status(session: Session) -> str:
    """How far a curation is, by stage, and what has failed."""
    done: Counter[str] = Counter()
    stages = make_stages(session.settings)
    for film in session.films:
        done.update(
            stage
            for stage in session.keys.film(film.sha256, film.about)
            if session.evidences.film(film, stage)
        )
    for evidence in session.evidences.found.values():
        done.update(
            s.name
            for s in stages
            if s.scope == "clip" and evidence.get(s.name, {}).get("status") != ERROR and s.name in evidence
        )
    verdicts = session.verdicts()
    lines = [f"{session.layout.out}: {len(session.films)} films, {len(verdicts.clips)} clips so far"]
    lines += [f"  {stage}: {done[stage]} done" for stage in done]
    lines += [f"  failed: {film['source']}: {film['reason']}" for film in verdicts.films if film["reason"]]
    return "\n".join(lines)


def costs(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By stage: items, seconds, items a second, peak memory and errors, of the rows of a ledger."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        cost = found.setdefault(
            row["stage"], {"stage": row["stage"], "items": 0, "seconds": 0.0, "peak_bytes": 0, "errors": 0}
        )
        if row["status"] == "error":
            cost["errors"] += 1
        elif "seconds" in row:
            cost["items"] += 1
            cost["seconds"] += row["seconds"]
            cost["peak_bytes"] = max(cost["peak_bytes"], row["peak_bytes"])
    for cost in found.values():
        cost["per_second"] = cost["items"] / cost["seconds"] if cost["seconds"] else None
    return [cost for cost in found.values() if cost["items"] or cost["errors"]]
