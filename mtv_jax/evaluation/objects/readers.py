"""Reads from frames which sounding objects stand where, how large and how bright.

Everything on the stage but the things is grey, and each kind of thing has a hue of its own, so a pixel of some colour
is one of a thing. That holds for pictures blurred by an autoencoder, too; a shape of a wrong colour counts as the kind
that has this colour.
"""

from dataclasses import dataclass

import numpy as np

from mtv_jax.theatre.objects.kinds import KINDS
from mtv_jax.typing import Bool, Float, Int, UInt8

NOTHING = "nothing"
_CHROMA = 30.0
"""Difference of the largest and the smallest channel, of 255, from which on a pixel is coloured."""
_FEWEST = 0.004
"""Share of the frame that a thing covers at least."""
_EDGE = 0.03
"""Share of a thing's pixels, on each side, that its box leaves out: blurred edges and stray pixels."""


@dataclass(frozen=True)
class Seen:
    """A thing in each frame.

    Attributes:
      there: whether it is.
      area: share of the frame, 0..1.
      brightness: of its brighter pixels, over that of the kind's colour at its loudest.
      box: left, top, right, bottom in shares of the frame; NaN where it is not there.
    """

    there: Bool[np.ndarray, "f"]
    area: Float[np.ndarray, "f"]
    brightness: Float[np.ndarray, "f"]
    box: Float[np.ndarray, "f 4"]


def read_kinds(frames: UInt8[np.ndarray, "f h w 3"]) -> Int[np.ndarray, "f h w"]:
    """The number of the kind (in the order of `KINDS`) that each pixel is of; -1 for grey."""
    hue, chroma = _hue_and_chroma(frames)
    own = _hue_and_chroma(np.array(list(KINDS.values()), np.uint8))[0]
    distance = np.abs((hue[..., None] - own + 180) % 360 - 180)
    return np.where(chroma > _CHROMA, distance.argmin(-1), -1)


def read_things(frames: UInt8[np.ndarray, "f h w 3"]) -> dict[str, Seen]:
    """Each kind of thing, in every frame."""
    kinds, brightest = read_kinds(frames), frames.max(-1).astype(np.float64)
    return {kind: _read(kinds == number, brightest / max(KINDS[kind])) for number, kind in enumerate(KINDS)}


def kind_in_box(frames: UInt8[np.ndarray, "f h w 3"], box: Float[np.ndarray, "4"]) -> str:
    """The kind that covers most of a box (shares of the frame) over all frames; `NOTHING` if hardly any does."""
    height, width = frames.shape[1:3]
    left, top, right, bottom = (box * np.array([width, height, width, height])).round().astype(int)
    part = read_kinds(frames[:, top : max(bottom, top + 1), left : max(right, left + 1)])
    counts = [(part == number).sum() for number in range(len(KINDS))]
    if max(counts) < _FEWEST * frames[..., 0].size:
        return NOTHING
    return list(KINDS)[int(np.argmax(counts))]


def overlap(a: Float[np.ndarray, "*f 4"], b: Float[np.ndarray, "*f 4"]) -> Float[np.ndarray, "*f"]:
    """Intersection over union of boxes; 0 where one is NaN."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0), axis=-1)
    whole = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1) - shared
    return np.asarray(np.nan_to_num(shared / np.maximum(whole, 1e-9)))


def _read(mask: Bool[np.ndarray, "f h w"], brightness: Float[np.ndarray, "f h w"]) -> Seen:
    area = mask.mean(axis=(1, 2))
    there = area >= _FEWEST
    boxes, light = np.full((len(mask), 4), np.nan), np.zeros(len(mask))
    for i in np.flatnonzero(there):
        light[i] = np.quantile(brightness[i][mask[i]], 0.8)
        sides = [_extent(mask[i].sum(axis=axis)) for axis in (0, 1)]
        boxes[i] = [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]
    return Seen(there, area, light, boxes)


def _extent(counts: Int[np.ndarray, "n"]) -> tuple[float, float]:
    """Where all but the outer pixels lie along an axis, in shares of it."""
    below = np.cumsum(counts) / counts.sum()
    first, last = np.searchsorted(below, _EDGE), np.searchsorted(below, 1 - _EDGE)
    return float(first / len(counts)), float((last + 1) / len(counts))


def _hue_and_chroma(pixels: UInt8[np.ndarray, "*n 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Hue in degrees, and the difference of the largest and the smallest channel."""
    red, green, blue = (pixels[..., i].astype(np.float64) for i in range(3))
    high, low = pixels.max(-1).astype(np.float64), pixels.min(-1).astype(np.float64)
    chroma = high - low
    safe = np.maximum(chroma, 1)
    sector = np.where(
        high == red,
        (green - blue) / safe % 6,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return 60 * sector, chroma
