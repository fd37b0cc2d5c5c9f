"""PySceneDetect as the detector of shots: its Adaptive and Content detectors, with guards of our own.

The detectors get frames that were decoded here, so their times are those of the rest of curation (PySceneDetect#479:
another decoder's differ in videos of a variable rate). Needs the package `scenedetect-headless`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from mtv_jax.audio.separation.base import ModelCard
from mtv_jax.curation.dissolves import Dissolves
from mtv_jax.curation.fades import Fades
from mtv_jax.curation.shots import Change, ChangeFinder, ShotsConfig
from mtv_jax.faces.cuts import scene_detection
from mtv_jax.typing import UInt8

_REACH = 3
"""Frames on both sides of a candidate that decide on it: a flash of two frames and the frame after it."""


@dataclass(frozen=True)
class PySceneDetect:
    """Finds hard cuts, fades through black and dissolves (the role `shots`).

    A frame is a candidate for a cut if the Adaptive detector takes it (its difference from the frame before exceeds
    that of the frames around by a ratio), or the Content detector does (by a threshold) and no other frame close by:
    a series of large differences is motion. A candidate is dropped if the picture before it returns after a few frames
    (a flash begins) or was there before (a flash ends), or if its pixels hardly differ: between dark frames that is
    noise of their hues.
    """

    config: ShotsConfig = field(default_factory=ShotsConfig)

    @property
    def height(self) -> int:
        """Height in pixels of the pictures that are compared."""
        return self.config.height

    def card(self) -> ModelCard:
        """What it is. Raises UserError if the package is missing."""
        return ModelCard("PySceneDetect", scene_detection().__version__, "BSD-3-Clause", None, "classical")

    def begin(self, rate: Fraction) -> ChangeFinder:
        """See `ChangeDetector`. Raises UserError if the package is missing."""
        return _Finder(self.config, rate)


class _Finder:
    """Finds the changes of one video (`ChangeFinder`)."""

    def __init__(self, config: ShotsConfig, rate: Fraction):
        self._config = config
        self._detectors = _Detectors(config, rate)
        self._fades = Fades(config.black, config.black_frames)
        self._dissolves = Dissolves(config.dissolve_difference, config.dissolve_error)
        self._recent: dict[int, np.ndarray] = {}
        self._count = 0

    @property
    def settled(self) -> int:
        """See `ChangeFinder`."""
        return max(min(self._count - _REACH, self._fades.settled, self._dissolves.settled), 0)

    @property
    def lasting(self) -> Sequence[Change]:
        """See `ChangeFinder`."""
        return (*self._fades.lasting, *self._dissolves.lasting)

    def put(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Sequence[Change]:
        """See `ChangeFinder`."""
        number = self._count
        self._count += 1
        self._detectors.put(number, pixels)
        self._recent[number] = pixels
        self._recent.pop(number - 2 * _REACH - 1, None)
        cuts = self._cuts(number - _REACH, number - _REACH + 1)
        return (*cuts, *self._fades.put(pixels), *self._dissolves.put(pixels))

    def end(self) -> Sequence[Change]:
        """See `ChangeFinder`."""
        cuts = self._cuts(self._count - _REACH, self._count)
        return (*cuts, *self._fades.end(), *self._dissolves.end())

    def _cuts(self, first: int, end: int) -> list[Change]:
        """The cuts among some frames."""
        return [Change(frame) for frame in range(first, end) if self._is_cut(frame)]

    def _is_cut(self, frame: int) -> bool:
        recent = self._recent
        if frame - 1 not in recent or not self._detectors.take(frame):
            return False
        difference = _difference(recent[frame - 1], recent[frame])
        return difference >= self._config.least_difference and not self._is_flash(frame, difference)

    def _is_flash(self, frame: int, difference: float) -> bool:
        """Whether the picture before a candidate returns soon after it, or the one after it was there before."""
        recent, most = self._recent, self._config.flash_similarity * difference
        for length in range(1, self._config.flash_frames + 1):
            for before, after in ((frame - 1, frame + length), (frame - 1 - length, frame)):
                same = before in recent and after in recent
                if same and _difference(recent[before], recent[after]) <= most:
                    return True
        return False


class _Detectors:
    """PySceneDetect's detectors on one stream, and the frames that they took."""

    def __init__(self, config: ShotsConfig, rate: Fraction):
        self._package = scene_detection()
        kinds = self._package.detectors
        # No least length of a scene: short shots are left out by their length, and a flash must not hide a cut.
        self._adaptive = kinds.AdaptiveDetector(
            config.adaptive_threshold, min_scene_len=0, min_content_val=config.adaptive_content
        )
        self._content = kinds.ContentDetector(config.content_threshold, min_scene_len=0)
        self._rate = rate
        self._by_ratio: set[int] = set()
        self._by_content: set[int] = set()

    def put(self, number: int, pixels: np.ndarray) -> None:
        """Gives the detectors a frame."""
        time = self._package.FrameTimecode(number, self._rate)
        picture = np.ascontiguousarray(pixels[..., ::-1])  # they take BGR
        self._by_ratio |= {cut.frame_num for cut in self._adaptive.process_frame(time, picture)}
        self._by_content |= {cut.frame_num for cut in self._content.process_frame(time, picture)}

    def take(self, frame: int) -> bool:
        """Whether a frame is a candidate. Frames are asked for once, in order."""
        near = {number for number in self._by_content if 0 < abs(number - frame) <= _REACH}
        taken = frame in self._by_ratio or (frame in self._by_content and not near)
        self._by_ratio = {number for number in self._by_ratio if number > frame}
        self._by_content = {number for number in self._by_content if number > frame - _REACH}
        return taken


def _difference(picture: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two pictures, 0..255."""
    return float(np.abs(picture.astype(np.int16) - other).mean())
