"""How the mouths of faces move, whatever their heads and the camera do.

A face is turned upright and scaled to the same size in each frame, by its landmarks; what then still moves is compared
with the nose and the cheeks, so that movements of the head, errors of the landmarks and noise count for nothing. All is
measured by Farneback's optical flow in the upright face, in shares of the distance between the eyes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mtv_jax.faces.tracks import Track
from mtv_jax.io.motion import optical_flow
from mtv_jax.typing import Float, UInt8

_EYES = 32.0
"""Pixels between the eyes of the upright face."""
_WIDTH, _HEIGHT = 80, 104
_PLACES = np.array([[24, 32], [56, 32], [40, 51], [27, 70], [53, 70]], float)
"""Of the landmarks in the upright face: those of an average face."""
_MOUTH = np.s_[58:94, 22:58]
_JAW = np.s_[74:104, 22:58]
_STILL = np.s_[34:58, 16:64]
"""Nose and cheeks."""
_SMOOTH = 0.2
"""Seconds over which landmarks are averaged: they tremble by a pixel or two."""


@dataclass(frozen=True)
class Mouth:
    """How a mouth moves, from the clip's frame `first` on.

    Attributes:
      opening: how far the lower lip and the jaw have gone down, but for an unknown drift: [n], distances of the eyes.
      motion: how fast the mouth moves up and down, beyond what moves elsewhere in the face, [n], distances of the eyes
        a second.
    """

    first: int
    opening: Float[np.ndarray, "n"]
    motion: Float[np.ndarray, "n"]


def measure_mouths(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: float, tracks: Sequence[Track], sampled: float
) -> list[Mouth | None]:
    """The mouths of the tracks, from all frames of their clip; None for a track without landmarks.

    Args:
      frames: at `fps`.
      tracks: found in frames of the same clip at `sampled` frames a second.
    """
    followed = [_Followed(track, fps, sampled) for track in tracks]
    for number, frame in enumerate(frames):
        for face in followed:
            face.see(number, frame)
    return [face.mouth(fps) for face in followed]


class _Followed:
    """A face over the frames of a clip."""

    def __init__(self, track: Track, fps: float, sampled: float):
        self._landmarks = _interpolated(track, fps, sampled)
        self._before: np.ndarray | None = None
        self._first = 0
        self._down: list[float] = []
        self._motion: list[float] = []

    def see(self, number: int, frame: np.ndarray) -> None:
        landmarks = self._landmarks.get(number)
        if landmarks is None:
            return
        face = upright(frame, landmarks)
        if self._before is None:
            self._first = number
            self._down.append(0.0)
            self._motion.append(0.0)
        else:
            down, motion = _movement(self._before, face)
            self._down.append(down)
            self._motion.append(motion)
        self._before = face

    def mouth(self, fps: float) -> Mouth | None:
        if len(self._down) < 2:
            return None
        down, motion = np.array(self._down), np.array(self._motion)
        motion[0] = motion[1]
        return Mouth(self._first, np.cumsum(down), motion * fps)


def _interpolated(track: Track, fps: float, sampled: float) -> dict[int, np.ndarray]:
    """Frame of the clip -> landmarks, between the sampled ones, and half a step beyond the first and the last."""
    known = [(n, face.landmarks) for n, face in zip(track.frames, track.faces, strict=True)]
    seen = [(n, points) for n, points in known if points is not None]
    if not seen:
        return {}
    times = np.array([n for n, _ in seen]) / sampled
    points = np.stack([points for _, points in seen]).reshape(len(seen), -1)
    first = max(0, int(np.ceil((times[0] - 0.5 / sampled) * fps)))
    frames = np.arange(first, int((times[-1] + 0.5 / sampled) * fps) + 1)
    dense = np.stack([np.interp(frames / fps, times, column) for column in points.T], axis=1)
    half = max(1, round(_SMOOTH * fps / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(dense, ((half, half), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T], axis=1)
    return dict(zip(frames.tolist(), smooth.reshape(-1, 5, 2), strict=True))


def upright(frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "5 2"]) -> np.ndarray:
    """The face in grey, as large and as upright as every other: uint8 [104, 80]."""
    cv2 = optical_flow()
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return cv2.warpAffine(grey, _similarity(landmarks), (_WIDTH, _HEIGHT), flags=cv2.INTER_LINEAR)


def _similarity(landmarks: np.ndarray) -> np.ndarray:
    """The turn, scale and shift, [2, 3], that bring landmarks closest to `_PLACES` (least squares)."""
    source, target = landmarks @ [1, 1j], _PLACES @ [1, 1j]
    centred = source - source.mean()
    turn = np.vdot(centred, target - target.mean()) / max(np.vdot(centred, centred).real, 1e-9)
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _movement(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """How far the jaw went down, and how much the mouth moved, in distances of the eyes."""
    cv2 = optical_flow()
    flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 2, 13, 3, 5, 1.1, 0) / _EYES
    flow -= flow[_STILL].mean(axis=(0, 1))
    down = flow[..., 1]
    return float(down[_JAW].mean()), float(np.abs(down[_MOUTH]).mean() - np.abs(down[_STILL]).mean())
