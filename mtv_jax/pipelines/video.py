"""What a pipeline returns: frames with their sound."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from mtv_jax.io.captions import draw_boxes
from mtv_jax.io.video import write_gif, write_video
from mtv_jax.names import VIDEO_SOUND_RATE


@dataclass(frozen=True)
class FrameStream:
    """Frames uint8 [F H W 3] that are made when they are read, from the first on, as often as they are read.

    `np.asarray` makes all of them.

    Attributes:
      pieces: makes them, some [n H W 3] at a time.
      shape: of all of them.
    """

    pieces: Callable[[], Iterator[np.ndarray]]
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        for piece in self.pieces():
            yield from piece

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        frames = np.concatenate(list(self.pieces()))
        return frames if dtype is None else frames.astype(dtype)


@dataclass(frozen=True)
class Video:
    """Frames uint8 [F H W 3] at `fps`, and sound float32 [s, channels] at `sample_rate` (None: silent film).

    `boxes` [F 4] are where each source is seen in each frame, by name (left, top, right, bottom, shares of the frame).
    """

    frames: np.ndarray | FrameStream
    fps: Fraction
    audio: np.ndarray | None = None
    sample_rate: int = VIDEO_SOUND_RATE
    boxes: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return float(len(self.frames) / self.fps)

    def save(self, path: str | os.PathLike) -> None:
        """Writes an mp4 (h264 yuv420p and aac, in sync to the frame), or a GIF without sound by its suffix."""
        if os.fspath(path).lower().endswith(".gif"):
            write_gif(path, self.frames, self.fps)
        else:
            write_video(path, self.frames, self.fps, audio=self.audio, sample_rate=self.sample_rate)

    def with_boxes(self) -> "Video":
        """A copy in which the boxes and names of the sources are drawn."""
        return replace(self, frames=draw_boxes(np.asarray(self.frames), self.boxes))
