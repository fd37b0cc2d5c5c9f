"""The part of a report about captions: how many there are, what they cost, and where they disagree with evidence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mtv_jax.curation.report.gallery import Gallery, sample
from mtv_jax.curation.report.summary import Clip
from mtv_jax.io.html import chips

_EACH = 4
"""Clips that are shown for a kind of disagreement."""


def captions(clips: Sequence[Clip]) -> dict[str, Any]:
    """Clips with a caption, those that could be `compared`, disagreements by what they are about, tokens in all."""
    found = [_caption(clip) for clip in clips if _caption(clip)]
    compared = [caption["disagrees"] for caption in found if caption.get("disagrees") is not None]
    tokens: Counter[str] = Counter()
    for clip in clips:
        tokens.update(clip["evidence"].get("caption", {}).get("tokens", {}))
    return {
        "clips": len(found),
        "compared": len(compared),
        "disagree": dict(sorted(Counter(about for differences in compared for about in differences).items())),
        "tokens": dict(tokens),
    }


def captions_section(numbers: Mapping[str, Any], clips: Sequence[Clip], gallery: Gallery) -> str:
    """HTML of `captions`, with clips of each disagreement; nothing without captions."""
    if not numbers["clips"]:
        return ""
    facts = [f"captions: {numbers['clips']:,}", f"compared with the evidence: {numbers['compared']:,}"]
    facts += [f"{name.replace('_', ' ')}: {count:,}" for name, count in numbers["tokens"].items()]
    parts = [f"<h2>Captions</h2>{chips(facts)}"]
    for about, count in numbers["disagree"].items():
        shown = sample((clip for clip in clips if about in (_caption(clip).get("disagrees") or ())), _EACH)
        notes = [f"{_caption(clip)['disagrees'][about]}. {_caption(clip)['prompt']}" for clip in shown]
        parts.append(
            f"<h3>{escape(about)}<small> — {count:,} disagree</small></h3>{gallery.show(shown, notes)}"
        )
    return "\n".join(parts)


def _caption(clip: Clip) -> Mapping[str, Any]:
    """The evidence of a clip's caption; empty if it has none."""
    found = clip["evidence"].get("caption", {})
    return found if "prompt" in found else {}
