"""Clips to look at and listen to: three frames and the sound of each, inside the page."""

import base64
import io
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile
from PIL import Image

from mtv_jax.curation.report.clips import Clip, Clips
from mtv_jax.curation.report.summary import MARKS
from mtv_jax.curation.stages import CLIP, MIX
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import iter_frames
from mtv_jax.names import TRACK_RATE

MOST_BYTES = 12 * 2**20
"""Of all pictures and sounds on a page."""
_HEIGHT = 96
_SECONDS = 6.0
"""Of the sound of a clip, at most."""


class Gallery:
    """Draws clips until `most_bytes` are used up; after that, and of clips whose files are gone, only their names.

    `page` is the folder of the page, which links to the clips' videos are relative to.
    """

    def __init__(self, page: Path, most_bytes: int = MOST_BYTES):
        self._page = page
        self._left = most_bytes
        self._media: dict[str, str] = {}

    def show(self, clips: Sequence[Clip], notes: Sequence[str]) -> str:
        """Clips side by side, each with a note (plain text) under it."""
        shown = "\n".join(self._figure(clip, note) for clip, note in zip(clips, notes, strict=True))
        return f"<div class=clips>{shown}</div>" if shown else ""

    def _figure(self, clip: Clip, note: str) -> str:
        media = self._cached(clip)
        place = quote(os.path.relpath(clip["folder"] / CLIP, self._page))
        name = f"<a href='{place}'>{escape(clip['id'][:10])}</a> {escape(str(clip['source']))}"
        why = escape("; ".join(clip["failures"]) or ", ".join(clip["subsets"]) or "kept")
        kind = "yes" if clip["keep"] else "no"
        caption = f"{name}<br>{escape(note)}<br><span class={kind}>{why}</span>"
        return f"<figure>{media}<figcaption>{caption}</figcaption></figure>"

    def _cached(self, clip: Clip) -> str:
        if clip["id"] not in self._media and self._left:
            self._media[clip["id"]] = media_of(clip["folder"])
        media = self._media.get(clip["id"])
        if media is None or len(media) > self._left:
            self._left = 0
            return "<p>(not shown: the page is full)</p>"
        self._left -= len(media)
        return media


def media_of(folder: Path) -> str:
    """The frames and the sound of a clip as HTML that contains them; what cannot be read is left out."""
    parts = []
    try:
        parts.append(f"<img alt='three frames' src='{_uri('image/jpeg', picture(folder / CLIP))}'>")
    except UserError:
        parts.append("<p>(its video is no longer there)</p>")
    try:
        parts.append(
            f"<audio controls preload=metadata src='{_uri('audio/mpeg', sound(folder / MIX))}'></audio>"
        )
    except UserError:
        parts.append("<p>(its sound is no longer there)</p>")
    return "".join(parts)


def picture(clip: Path) -> bytes:
    """JPEG of up to three frames of a video, side by side. Raises UserError if it cannot be read."""
    frames = list(iter_frames(clip, fps=1.5, num_frames=3))
    if not frames:
        raise UserError(f"{clip}: no frames")
    width = max(1, round(frames[0].shape[1] * _HEIGHT / frames[0].shape[0]))
    small = [np.asarray(Image.fromarray(frame).resize((width, _HEIGHT))) for frame in frames]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(small, axis=1)).save(file, "JPEG", quality=60)
    return file.getvalue()


def sound(mix: Path) -> bytes:
    """MP3 of the first seconds of a sound file, mono. Raises UserError if it cannot be read."""
    samples = np.clip(read_audio(mix, TRACK_RATE, duration=_SECONDS), -1, 1)
    file = io.BytesIO()
    soundfile.write(file, samples, TRACK_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return file.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def around_marks(clips: Clips, name: str, each: int) -> dict[int, list[int]]:
    """Percentile -> the clips whose score is nearest to it in rank, in order of the score."""
    scored = np.flatnonzero(~np.isnan(clips.score(name)))
    ids = np.array([clips.ids[number] for number in scored])
    ranked = scored[np.lexsort((ids, clips.score(name)[scored]))]
    found = {}
    for mark in MARKS:
        start = round((len(ranked) - 1) * mark / 100) - each // 2
        start = min(max(start, 0), max(len(ranked) - each, 0))
        found[mark] = [int(number) for number in ranked[start : start + each]]
    return found
