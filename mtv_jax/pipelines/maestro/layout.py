"""Where sources are seen of which it is not said: in a layout of so many boxes, or where they are heard.

`lr`      side by side; two as in the paper's figures
`td`      one above the other; two as in the paper's figures
`grid`    in two rows, the upper one with as many as the lower one or one more
`stereo`  where the energy of a source lies between left and right
`auto`    `lr` for up to three, `grid` for more; one source has the whole frame
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mtv_jax.diffusion.mosaic.options import LAYOUTS, Box, Layout
from mtv_jax.io.audio import Recording
from mtv_jax.io.errors import UserError
from mtv_jax.names import LAYOUT_NAMES, LayoutName
from mtv_jax.pipelines.maestro.sources import Source
from mtv_jax.pipelines.places import Place
from mtv_jax.weights.maestro_defaults import MaestroDefaults

STEREO: LayoutName = "stereo"

_TOP, _BOTTOM = 0.3, 0.7
"""Of boxes side by side, as in the paper's figures."""
_WIDEST, _FILLED = 0.5, 0.8
"""Width of a box of `stereo` at most, and share of the frame's width that all of them fill at most."""


def check_layout(layout: LayoutName, sources: Sequence[Source], maestro: MaestroDefaults) -> None:
    """Raises UserError for an unknown layout, and where the released code has boxes of its own for others."""
    if layout not in LAYOUT_NAMES:
        raise UserError(f"layout {layout!r}: not known; use one of {', '.join(LAYOUT_NAMES)}")
    if maestro.preset != "released":
        return
    if layout not in ("auto", "lr", "td") or len(sources) != 2 or any(source.place for source in sources):
        raise UserError(
            "mosaic released: has boxes of its own for two sources in the layout lr or td; give two without a "
            "place, or mosaic paper"
        )


def fixed_layout(layout: LayoutName) -> Layout:
    """That of the released code's own boxes."""
    return "TD" if layout == "td" else "LR"


def place_sources(
    sources: Sequence[Source], layout: LayoutName, heard: Mapping[str, Recording] | None = None
) -> dict[str, Place]:
    """The place of each source by its name: its own, or that of the layout of all that are not background.

    `heard` are the sounds of the sources, which the layout `stereo` needs.
    """
    seen = [source for source in sources if source.place is None or not source.place.background]
    if layout == STEREO:
        assert heard is not None, "the layout stereo needs the sounds"
        sounds = [heard[source.name] for source in seen]
        boxes = stereo_boxes([position(sound.stereo(sound.sample_rate)) for sound in sounds])
    else:
        boxes = layout_boxes(layout, len(seen))
    given = {source.name: Place.at(*box) for source, box in zip(seen, boxes, strict=True)}
    return {source.name: source.place or given[source.name] for source in sources}


def layout_boxes(layout: LayoutName, count: int) -> list[Box]:
    """The boxes of so many sources in a layout other than `stereo`."""
    if count == 1:
        return [(0.0, 0.0, 1.0, 1.0)]
    if layout == "auto":
        layout = "lr" if count <= 3 else "grid"
    if layout == "grid":
        upper = _side_by_side(-(-count // 2), 0.0, 0.5)
        return upper + _side_by_side(count // 2, 0.5, 1.0)
    if count == 2:
        return list(LAYOUTS["TD" if layout == "td" else "LR"])
    if layout == "td":
        return [(0.0, i / count, 1.0, (i + 1) / count) for i in range(count)]
    return _side_by_side(count, _TOP, _BOTTOM)


def _side_by_side(count: int, top: float, bottom: float) -> list[Box]:
    return [(i / count, top, (i + 1) / count, bottom) for i in range(count)]


def position(sound: Float[np.ndarray, "s 2"]) -> float:
    """Where a stereo sound is heard, from 0 (left) to 1 (right), as a panner of constant power has put it there.

    Such a panner gives a sound at x the levels cos(x pi/2) on the left and sin(x pi/2) on the right. Silence is in
    the middle.
    """
    left, right = np.sqrt(np.square(sound, dtype=np.float64).sum(0))
    return 0.5 if left == right == 0 else math.atan2(right, left) * 2 / math.pi


def stereo_boxes(positions: Sequence[float]) -> list[Box]:
    """A box for each position between left and right.

    All have one width; each is as near to its position as possible without touching another, the sum of squares being
    least, and in the order of the positions.
    """
    count = len(positions)
    width = min(_WIDEST, _FILLED / max(count, 1))
    order = np.argsort(positions, kind="stable")
    # Of boxes that must not overlap, the distances to closely packed ones must not decrease.
    packed = width * np.arange(count)
    wanted = np.asarray(positions, float)[order] - width / 2 - packed
    left = np.clip(_not_decreasing(wanted), 0, 1 - width * count) + packed
    boxes = [(0.0, 0.0, 0.0, 0.0)] * count
    for index, start in zip(order, left, strict=True):
        boxes[index] = (float(start), _TOP, min(float(start) + width, 1.0), _BOTTOM)
    return boxes


def _not_decreasing(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """The nearest values that do not decrease (least squares): neighbours in the wrong order share their mean."""
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([float(value)])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return np.array([np.mean(block) for block in blocks for _ in block])
