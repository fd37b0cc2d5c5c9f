"""The page of a study: one file of HTML with its script, which loads nothing but the videos beside it.

The orders are made here, and the script (`assets/study/study.js`) shows what it is given: it has no part in the design.
"""

import importlib.resources
import json
from collections.abc import Iterable
from typing import Any

from mtv_jax.evaluation.study.design import Study
from mtv_jax.evaluation.study.form import LEAST, MOST
from mtv_jax.io.html import document

INDEX = "index.html"
VIDEOS = "videos"
ANSWERS = "mtv_jax study answers"
"""The kind of the files of answers."""

_POLICY = (
    "default-src 'none'; media-src 'self' file:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
"""The browser itself prevents the page from sending anything anywhere."""


def page(study: Study) -> str:
    """The page, which holds neither systems nor ids of clips."""
    head = f'<meta http-equiv=Content-Security-Policy content="{_POLICY}">'
    head += "<meta name=referrer content=no-referrer><meta name=robots content=noindex>"
    # In a script, only `<` can end it.
    data = json.dumps(_published(study), ensure_ascii=False).replace("<", "\\u003c")
    parts: Iterable[str] = (
        "<main id=main tabindex=-1><noscript>This page needs JavaScript.</noscript></main>",
        f"<script type=application/json id=study>{data}</script>",
        f"<script>\n{_asset('study.js')}</script>",
    )
    return "".join(document("Video study", parts, _asset("study.css"), head=head))


def _published(study: Study) -> dict[str, Any]:
    form = study.form
    return {
        "kind": ANSWERS,
        "study": study.id,
        "form": form.id,
        "instructions": form.instructions,
        "questions": [{"id": question.id, "text": question.text + form.ends} for question in form.questions],
        "scale": list(range(LEAST, MOST + 1)) if form.kind == "rating" else None,
        "texts": {name: clip.text for name, clip in study.clips.items()},
        "orders": [study.order(participant) for participant in range(1, study.participants + 1)],
        "videos": VIDEOS,
    }


def _asset(name: str) -> str:
    return (importlib.resources.files("mtv_jax.assets") / "study" / name).read_text(encoding="utf-8")
