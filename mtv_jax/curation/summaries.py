"""What the commands print of a curation."""

from collections import Counter
from collections.abc import Sequence

from mtv_jax.curation.accounting import account
from mtv_jax.curation.budget import estimate
from mtv_jax.curation.ledger import OK
from mtv_jax.curation.roles import NOT_APPLICABLE
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
    of_clips = [stage.name for stage in session.stages if stage.scope == "clip"]
    for found in session.evidences:
        if found.film.problem:  # a copy has the evidence of the film that it repeats
            continue
        done.update(found.done)
        for evidence in found.clips.values():
            done.update(s for s in of_clips if evidence.get(s, {}).get("status") in (OK, NOT_APPLICABLE))
    verdicts = session.verdicts()
    lines = [f"{session.layout.out}: {len(session.films)} films, {len(verdicts.clips)} clips so far"]
    lines += [f"  {stage.name}: {done[stage.name]} done" for stage in session.stages if done[stage.name]]
    lines += [f"  failed: {film['source']}: {film['reason']}" for film in verdicts.films if film["reason"]]
    return "\n".join(lines)
