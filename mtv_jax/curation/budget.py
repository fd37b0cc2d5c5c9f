"""How much a curation will take: clips and bytes, by the headers of its films."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtv_jax.curation.arrays import ARRAYS
from mtv_jax.curation.settings import Layout, Settings, load_settings
from mtv_jax.curation.sources import Source
from mtv_jax.curation.stages import CLIP
from mtv_jax.curation.steps.media import Clips
from mtv_jax.data.manifests import MEDIA, SHARD_SUFFIX
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import probe
from mtv_jax.names import TRACKS

_LATENT_BYTES = 2 * 2 * 16 / (4 * 8 * 8)
"""Bytes of latents for each pixel of a clip: mean and variance, float16, 16 channels for 4 x 8 x 8 pixels."""
_FEATURE_BYTES = 3 * 12 * 768 * 2
"""Bytes of the features of three tracks, for each frame: 12 layers of 768, float16."""
_TEXT_BYTES = 226 * 4096 * 2
_MP4_BYTES = 0.02
"""Bytes of a clip's mp4 for each pixel that it shows; a still picture takes a tenth."""
_SOUND_BYTES = 4 * 48_000 * 2.5
"""Bytes of the mix and three tracks as FLAC, for each second."""
_FRAMES_BYTES = 3
_COPIES = 2
"""Work and shards."""


@dataclass(frozen=True)
class Estimate:
    """About what a run will make."""

    films: int
    unread: int
    seconds: float
    clips: int
    clip_bytes: float

    @property
    def total(self) -> float:
        """Bytes, while the shards are written; afterwards the arrays are in them only (`mtv_jax.curation.arrays`)."""
        return _COPIES * self.clips * self.clip_bytes

    def left(self, layout: Layout, settings: Settings) -> float:
        """Bytes that new clips still need, beyond those that a curation's folder has. See also `packing_bytes`.

        If other settings cut its clips, all are needed: the old ones are removed only when the new ones are there.
        """
        return max(self.total - (_bytes_there(layout) if _are_cut_alike(layout, settings) else 0), 0.0)


def estimate(settings: Settings, sources: Iterable[Source]) -> Estimate:
    """By lengths in headers, as if every window were kept."""
    size = settings.size
    films = unread = clips = 0
    seconds = 0.0
    for source in sources:
        films += 1
        try:
            info = probe(source.path)
        except UserError:
            unread += 1
            continue
        length = info.duration or 0.0
        seconds += length
        frames = length * float(settings.rate(info.fps)) - settings.skip
        clips += max(int((frames - size.num_frames) // settings.stride) + 1, 0)
    return Estimate(films, unread, seconds, clips, _clip_bytes(settings))


def packing_bytes(
    layout: Layout, clips: Iterable[Mapping[str, Any]], record: float, taken_back: int, *, media: bool
) -> float:
    """Bytes that it takes to pack anew, while the former shards are still there.

    Args:
      layout: of the curation's folder.
      clips: rows of the verdicts, of the clips to be written into new shards.
      record: bytes of a record in the former shards (`record_bytes`).
      taken_back: of how many records the arrays are written into the folders of their clips first.
      media: whether there are shards of media as well.
    """
    total = taken_back * record
    for folder in map(layout.clip, clips):
        total += (folder / ARRAYS).stat().st_size or record
        names = (CLIP, *(f"{track}.flac" for track in TRACKS)) if media else ()
        total += sum((folder / name).stat().st_size for name in names)
    return total


def _are_cut_alike(layout: Layout, settings: Settings) -> bool:
    """Whether the clips of a curation's folder, if it has any, are those of these settings."""
    try:
        before = load_settings(layout)
    except UserError:
        return False
    return Clips.of(before) == Clips.of(settings)


def _bytes_there(layout: Layout) -> int:
    """Bytes of a curation's clips and shards. Those with arrays count twice, as if they were in `work/` as well."""
    folders = (layout.work / "films", layout.out / MEDIA, layout.test / MEDIA)
    return sum(map(_size, folders)) + _COPIES * sum(map(_shard_bytes, (layout.out, layout.test)))


def _shard_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"*{SHARD_SUFFIX}"))


def _size(folder: Path) -> int:
    """Bytes of all files in a folder and its subfolders."""
    if not folder.is_dir():
        return 0
    with os.scandir(folder) as entries:
        return sum(_size(Path(e.path)) if e.is_dir() else e.stat().st_size for e in entries)


def _clip_bytes(settings: Settings) -> float:
    size = settings.size
    pixels = size.num_frames * size.height * size.width
    if settings.frames_only:
        return pixels * (_FRAMES_BYTES + _MP4_BYTES)
    features = size.num_frames * _FEATURE_BYTES + _TEXT_BYTES
    return pixels * (_LATENT_BYTES + _MP4_BYTES) + features + float(size.duration) * _SOUND_BYTES
