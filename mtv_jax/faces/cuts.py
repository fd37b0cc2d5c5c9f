"""Cuts, beyond which no face is followed: those of PySceneDetect's ContentDetector, as in joonson/syncnet_python.

Curation finds shots with more care (`mtv_jax.curation.shots`): fades, dissolves, and no cuts at flashes. Here a cut too
many ends a face's track early, and a cut too few lets a track pass from one face to another.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.io.motion import optical_flow
from mtv_jax.typing import UInt8

_WIDTH = 256
"""Pixels to which wider pictures are reduced before they are compared, as PySceneDetect does by default."""


def find_cuts(frames: Sequence[np.ndarray] | UInt8[np.ndarray, "F H W 3"], fps: int) -> list[int]:
    """The first frame of each shot but the first, of RGB frames.

    A cut is where hue, saturation and value change by 27 of 255 or more, on average over pixels. The original's
    detector keeps no two cuts within 15 frames, so that its tracks may pass one; here all are kept. Raises UserError if
    PySceneDetect is missing.
    """
    package = scene_detection()
    detector = package.detectors.ContentDetector(min_scene_len=0)
    cuts = []
    for number, frame in enumerate(frames):
        picture = np.ascontiguousarray(_reduced(frame)[..., ::-1])  # it takes BGR
        cuts += [
            cut.frame_num
            for cut in detector.process_frame(package.FrameTimecode(number, float(fps)), picture)
        ]
    return cuts


def scene_detection() -> Any:
    """The package `scenedetect`. Raises UserError if it cannot be imported."""
    try:
        importlib.import_module("scenedetect.detectors")
        return importlib.import_module("scenedetect")
    except ImportError as error:
        raise UserError(
            f"shots are found by PySceneDetect, which cannot be imported ({error}); pip install 'mtv_jax[eval]'"
        ) from error


def _reduced(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    if width <= _WIDTH:
        return frame
    size = (_WIDTH, max(round(height * _WIDTH / width), 1))
    cv2 = optical_flow()
    return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
