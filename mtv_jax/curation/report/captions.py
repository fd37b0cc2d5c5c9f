"""The part of a report about captions: how many there are, what they cost, and where they disagree with evidence."""

from collections import Counter
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from mtv_jax.curation.report.clips import Clips
from mtv_jax.curation.report.gallery import Gallery
from mtv_jax.io.html import chips

_EACH = 4
"""Clips that are shown for a kind of disagreement."""


def captions(clips: Clips) -> dict[str, Any]:
    """Clips with a caption, those that could be `compared`, disagreements by what they are about, tokens in all."""
    disagree = Counter(about for found in clips.disagreements.values() for about in found)
    return {
        "clips": clips.captioned,
        "compared": clips.compared_captions,
        "disagree": dict(sorted(disagree.items())),
        "tokens": dict(clips.tokens),
    }


def captions_section(
    numbers: Mapping[str, Any], clips: Clips, gallery: Gallery, prompt: Callable[[str], str]
) -> str:
    """HTML of `captions`, with clips of each disagreement, whose captions `prompt` gives by id; "" without any."""
    if not numbers["clips"]:
        return ""
    facts = [f"captions: {numbers['clips']:,}", f"compared with the evidence: {numbers['compared']:,}"]
    facts += [f"{name.replace('_', ' ')}: {count:,}" for name, count in numbers["tokens"].items()]
    parts = [f"<h2>Captions</h2>{chips(facts)}"]
    for about, count in numbers["disagree"].items():
        of_this = [number for number, found in clips.disagreements.items() if about in found]
        shown = clips.sample(of_this, _EACH)
        notes = [f"{clips.disagreements[number][about]}. {prompt(clips.ids[number])}" for number in shown]
        drawn = gallery.show([clips[number] for number in shown], notes)
        parts.append(f"<h3>{escape(about)}<small> — {count:,} disagree</small></h3>{drawn}")
    return "\n".join(parts)
