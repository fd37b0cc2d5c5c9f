"""Windows: the parts in which a long video is made, and where they begin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

Texts = tuple[tuple[str, float], ...]
"""Texts and their weights, which sum to 1."""


@dataclass(frozen=True)
class Window:
    """Latent frames that are sampled together.

    Attributes:
      start, stop: the latent frames [start, stop) of the video.
      prefix: how many of them, at its start, were made before, by one window or several; they are clean, and stay as
        they are.
      texts: what it shows. The embeddings of several texts are mixed by their weights.
      anchor: latent frames of the video that are given in front of it, clean: the first of those that show its texts.
        All windows refer to the same ones, so that what each passes on wrongly does not add up.
    """

    start: int
    stop: int
    prefix: int
    texts: Texts
    anchor: range = range(0)

    @property
    def new(self) -> range:
        """The latent frames that it adds to the video."""
        return range(self.start + self.prefix, self.stop)

    @property
    def latents(self) -> list[int]:
        """The latent frames of the video that are sampled together, in order."""
        return [*self.anchor, *range(self.start, self.stop)]

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Sizes:
    """Sizes of windows, in latent frames.

    Attributes:
      longest: most of a window; None: one window has all of the video.
      overlap: that a window has in common with what is before it; it adds at least as many.
      full: whether each window has `longest`, for a model that is known at that length alone: a window that adds fewer
        has more in common with what is before it.
    """

    longest: int | None
    overlap: int
    full: bool = False

    @property
    def shortest(self) -> int:
        """Fewest that a window adds."""
        return max(self.overlap, 1)


def anchored(windows: Sequence[Window], count: int, *, full: bool) -> list[Window]:
    """The windows of a text, in which `count` latent frames of the overlap make room for an anchor.

    Windows keep their length with it; one without an anchor is shorter, unless they all are `full`.
    """
    found: list[Window] = []
    for number, window in enumerate(windows):
        first = windows[0].new.start
        shorter = replace(window, start=window.start + count, prefix=window.prefix - count)
        if number and first + count <= shorter.start:
            found.append(replace(shorter, anchor=range(first, first + count)))
        else:
            found.append(window if full or not window.prefix else shorter)
    return found


def place_borders(targets: Sequence[int], total: int, shortest: int) -> list[int]:
    """Borders as near as possible to `targets`, at least `shortest` from each other and from 0 and `total`.

    The largest distance between a border and its target is as small as it can be (isotonic regression in the maximum
    norm), and a border moves only if it has to. `targets` are in order; `total` has room for all.
    """
    room = total - (len(targets) + 1) * shortest
    # Without the shortest distances between them, borders only have to stay in order.
    free = [target - (i + 1) * shortest for i, target in enumerate(targets)]
    ordered = [(max(free[: i + 1]) + min(free[i:])) // 2 for i in range(len(free))]
    return [min(max(border, 0), room) + (i + 1) * shortest for i, border in enumerate(ordered)]


def split(start: int, stop: int, texts: Texts, sizes: Sizes) -> list[Window]:
    """Windows that add the latent frames [start, stop), as few as possible and all of one length.

    One length is one compilation. Where it does not divide evenly, later windows have one more latent frame in common
    with those before them.
    """
    longest, overlap, new = sizes.longest, sizes.overlap, stop - start
    if longest is None or (start == 0 and new <= longest):
        prefix = overlap if start else 0
        return [Window(start - prefix, stop, prefix, texts)]
    if sizes.full and start == 0:
        return [Window(0, longest, 0, texts), *split(longest, stop, texts, sizes)]
    # The first window of a video has nothing before it.
    first = overlap if start == 0 else 0
    count = max(-(-(new - first) // (longest - overlap)), 1)
    shared = overlap * count - first
    length = -(-(new + shared) // count)
    extra = length * count - shared - new
    windows, at = [], start
    for i in range(count):
        prefix = 0 if at == 0 else overlap + (i >= count - extra)
        until = at - prefix + length
        if sizes.full:
            prefix = min(at, longest - (until - at))
        windows.append(Window(at - prefix, until, prefix, texts))
        at = until
    return windows
