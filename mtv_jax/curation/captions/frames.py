"""Frames of a clip for a model to look at."""

import io
from pathlib import Path

from PIL import Image

from mtv_jax.io.video import iter_frames, probe

_QUALITY = 85
"""Of JPEG."""


def even_frames(clip: Path, count: int, longest_side: int) -> list[Image.Image]:
    """Frames in the middles of `count` equal parts of a clip, all of them if it has no more; made smaller only."""
    info = probe(clip)
    frames = info.num_frames or 1
    count = min(count, frames)
    seconds = frames / info.fps
    chosen = iter_frames(clip, fps=count / seconds, start=seconds / (2 * count), num_frames=count)
    return [_smaller(Image.fromarray(frame), longest_side) for frame in chosen]


def jpeg(image: Image.Image) -> bytes:
    """A frame as a file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _smaller(image: Image.Image, longest_side: int) -> Image.Image:
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return image
