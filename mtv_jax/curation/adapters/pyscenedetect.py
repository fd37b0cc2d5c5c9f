"""PySceneDetect as the detector of shots: its Adaptive, Content and Threshold detectors, with guards of our own.

The detectors get frames that were decoded here, so their times are those of the rest of curation (PySceneDetect#479:
another decoder's differ in videos of a variable rate). Needs the package `scenedetect-headless`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from mtv_jax.audio.separation.base import ModelCard
from mtv_jax.curation.dissolves import Dissolves
from mtv_jax.curation.shots import Change, ShotsConfig
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

    def changes(self, frames: Iterable[UInt8[np.ndarray, "H W 3"]], rate: Fraction) -> Iterator[Change]:
        """Yields cuts, fades and dissolves (`ChangeDetector`). Raises UserError if the package is missing."""
        detectors = _Detectors(self.config, rate)
        dissolves = Dissolves(self.config.dissolve_difference, self.config.dissolve_error)
        recent: dict[int, np.ndarray] = {}
        count = 0
        for number, pixels in enumerate(frames):
            yield from detectors.put(number, pixels)
            dissolves.put(pixels)
            recent[number] = pixels
            recent.pop(number - 2 * _REACH - 1, None)
            if self._is_cut(number - _REACH, recent, detectors):
                yield Change(number - _REACH)
            count = number + 1
        for number in range(count - _REACH, count):
            if self._is_cut(number, recent, detectors):
                yield Change(number)
        yield from detectors.finish(count)
        yield from (Change(mixed.start, "dissolve", until=mixed.end) for mixed in dissolves.found())

    def _is_cut(self, frame: int, recent: Mapping[int, np.ndarray], detectors: "_Detectors") -> bool:
        if frame - 1 not in recent or not detectors.take(frame):
            return False
        difference = _difference(recent[frame - 1], recent[frame])
        return difference >= self.config.least_difference and not self._is_flash(frame, recent, difference)

    def _is_flash(self, frame: int, recent: Mapping[int, np.ndarray], difference: float) -> bool:
        """Whether the picture before a candidate returns soon after it, or the one after it was there before."""
        most = self.config.flash_similarity * difference
        for length in range(1, self.config.flash_frames + 1):
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
        self._fades = kinds.ThresholdDetector(
            config.black,
            min_scene_len=0,
            fade_bias=-1.0,  # a fade is given by its first black frame
            add_final_scene=True,
            min_out_length=config.black_frames,
        )
        self._rate = rate
        self._by_ratio: set[int] = set()
        self._by_content: set[int] = set()

    def put(self, number: int, pixels: np.ndarray) -> Iterator[Change]:
        """Gives the detectors a frame and yields the fade that ends there."""
        time = self._time(number)
        picture = np.ascontiguousarray(pixels[..., ::-1])  # they take BGR
        self._by_ratio |= {cut.frame_num for cut in self._adaptive.process_frame(time, picture)}
        self._by_content |= {cut.frame_num for cut in self._content.process_frame(time, picture)}
        for cut in self._fades.process_frame(time, picture):
            yield Change(cut.frame_num, "fade", until=number)

    def take(self, frame: int) -> bool:
        """Whether a frame is a candidate. Frames are asked for once, in order."""
        near = {number for number in self._by_content if 0 < abs(number - frame) <= _REACH}
        taken = frame in self._by_ratio or (frame in self._by_content and not near)
        self._by_ratio = {number for number in self._by_ratio if number > frame}
        self._by_content = {number for number in self._by_content if number > frame - _REACH}
        return taken

    def finish(self, count: int) -> Iterator[Change]:
        """Yields the fade at the end of the stream, if it ends black."""
        if count:
            for cut in self._fades.post_process(self._time(count - 1)):
                yield Change(cut.frame_num, "fade", until=count)

    def _time(self, number: int) -> Any:
        return self._package.FrameTimecode(number, self._rate)


def _difference(picture: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two pictures, 0..255."""
    return float(np.abs(picture.astype(np.int16) - other).mean())
