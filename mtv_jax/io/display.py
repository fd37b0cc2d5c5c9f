"""Converts decoded frames to displayed ones: deinterlaced, square pixels, sRGB, no transparency, upright.

All code that reads video uses this module. FFmpeg's programs do the same with filters that they insert
automatically; PyAV returns the stored frames.
"""

import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from jaxtyping import UInt8
from PIL import Image

from mtv_jax.io.errors import Unreadable
from mtv_jax.io.streams import fraction, side_data
from mtv_jax.io.tone import WIDE_PRIMARIES, is_hdr, to_srgb

BACKGROUND = 255
"""Background level that transparent videos and pictures are composited on: white."""
MAX_PIXELS = 1 << 27
"""Maximum size of a displayed frame, 16384 x 8192. More means a damaged header, or would not fit into memory."""
_MAX_SAMPLE_ASPECT = 16
_UNSPECIFIED = 2
_HD_LINES = 576
"""Untagged pictures taller than this are assumed to be BT.709 (high definition), others BT.601, as in players."""
_MATRICES = (0, 1, 4, 5, 6, 7, 9)
_UNREAD_MATRICES = {
    8: "YCgCo",
    10: "BT.2020 of constant luminance",
    11: "SMPTE ST 2085",
    13: "chromaticity-derived of constant luminance",
    14: "ICtCp",
    15: "IPT-C2 (Dolby Vision)",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
"""Colour matrices by their numbers in H.273: those that libswscale supports, and names of the others."""
_MATRIX_OF_PRIMARIES = {1: 1, 4: 6, 5: 5, 6: 6, 7: 7, 9: 9}


class Display:
    """Converts the frames of one stream for display, all at the size of the first."""

    def __init__(self, path: Path, stream: av.VideoStream, first: av.VideoFrame):
        self._path = path
        self._stream = stream
        self._reformatter = VideoReformatter()
        self._coded_aspect = _ratio(stream.codec_context.sample_aspect_ratio)
        self.size = self._shown_size(first)
        """(height, width) of all displayed frames."""

    def show(
        self, frame: av.VideoFrame, seconds: float = 0.0, size: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "H W 3"]:
        """sRGB pixels of the frame that is displayed at `seconds`, scaled to `size` (height, width) if given.

        Raises Unreadable if the frame's shape differs from the first frame's, or its colours are not supported.
        """
        if (shown := self._shown_size(frame)) != self.size and not _same_shape(shown, self.size):
            raise Unreadable(
                "resolution_change",
                f"{self._path}: its picture changes from {self.size[1]}x{self.size[0]} to {shown[1]}x{shown[0]} at "
                f"{seconds:.2f} s; cut the file there",
            )
        turn = _turn(frame)
        size = self.size if size is None else size
        height, width = size[::-1] if turn.transpose else size
        return turn.apply(self._pixels(frame, height, width))

    def _shown_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(height, width) in square pixels, upright. The shorter side is enlarged, so that no detail is lost."""
        aspect = self.sample_aspect
        height, width = frame.height, frame.width
        if not 1 / _MAX_SAMPLE_ASPECT <= aspect <= _MAX_SAMPLE_ASPECT:
            raise Unreadable(
                "unsupported",
                f"{self._path}: a sample aspect ratio of {aspect.numerator}:{aspect.denominator} is not plausible "
                f"(1:{_MAX_SAMPLE_ASPECT} to {_MAX_SAMPLE_ASPECT}:1 are read); set it to 1:1",
            )
        if aspect > 1:
            width = round(width * aspect)
        elif aspect < 1:
            height = round(height / aspect)
        if height * width > MAX_PIXELS:
            raise Unreadable(
                "unsupported",
                f"{self._path}: frames of {width}x{height} are too large to be read; scale it down",
            )
        return (width, height) if _turn(frame).transpose else (height, width)

    @property
    def sample_aspect(self) -> Fraction:
        """Width of a stored pixel, its height being 1.

        The container's value if it differs from the codec's first one, else the codec's value for this frame.
        """
        container = self._stream.sample_aspect_ratio
        if container is not None and container.numerator > 0 and _ratio(container) != self._coded_aspect:
            return _ratio(container)
        return _ratio(self._stream.codec_context.sample_aspect_ratio)

    def _pixels(self, frame: av.VideoFrame, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
        """In the stored orientation, scaled to a size."""
        tags = frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries
        deep, alpha = is_hdr(frame.color_trc) or frame.color_primaries in WIDE_PRIMARIES, _has_alpha(frame)
        self._tag(frame)
        white = _deep_white(frame)
        kind = ("rgba64le" if alpha else "rgb48le") if deep else ("rgba" if alpha else "rgb24")
        pixels = self._converted(frame, kind, height, width)
        frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = tags
        colours = pixels[..., :3]
        if deep:
            colours = to_srgb(colours, frame.color_trc, frame.color_primaries, white)
        elif frame.format.name.startswith("gray") and frame.color_range == ColorRange.MPEG:
            colours = _of_limited_range(colours)
        return over_background(colours, pixels[..., 3:]) if alpha else np.ascontiguousarray(colours)

    def _converted(self, frame: av.VideoFrame, kind: str, height: int, width: int) -> np.ndarray:
        try:
            return self._reformatter.reformat(
                frame,
                width=width,
                height=height,
                format=kind,
                dst_color_range=ColorRange.JPEG,
                interpolation=Interpolation.BICUBIC,
            ).to_ndarray()
        except (FFmpegError, OSError, ValueError) as error:
            message = f"pixels of the format {frame.format.name} cannot be read ({error})"
            raise Unreadable(
                "unsupported", f"{self._path}: {message}; convert the video to yuv420p"
            ) from error

    def _tag(self, frame: av.VideoFrame) -> None:
        """Sets the stored colour space for libswscale, which assumes BT.601 and would tone-map some tags itself."""
        matrix = frame.colorspace
        if matrix in _UNREAD_MATRICES:
            message = f"colours in {_UNREAD_MATRICES[matrix]} cannot be read"
            raise Unreadable("unsupported", f"{self._path}: {message}; convert the video to BT.709")
        if matrix not in _MATRICES:
            if side_data(frame, Type.DOVI_METADATA) is not None:
                message = "Dolby Vision without a base layer of BT.2020 cannot be read"
                raise Unreadable("unsupported", f"{self._path}: {message}; convert the video to BT.709")
            guess = 1 if frame.height > _HD_LINES else 6
            frame.colorspace = _MATRIX_OF_PRIMARIES.get(frame.color_primaries, guess)
        if frame.color_range not in (ColorRange.MPEG, ColorRange.JPEG) and not _is_full_range(frame):
            frame.color_range = ColorRange.MPEG
        frame.color_trc = frame.color_primaries = _UNSPECIFIED


class _Turn(NamedTuple):
    """The operation that turns stored pixels upright: transpose, then mirror; or rotate clockwise by any angle."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False
    degrees: float = 0.0

    def apply(self, pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        if self.degrees:
            turned = Image.fromarray(pixels).rotate(-self.degrees, Image.Resampling.BILINEAR)
            return np.array(turned)
        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        pixels = pixels[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]
        return np.ascontiguousarray(pixels)


def _turn(frame: av.VideoFrame) -> _Turn:
    """The operation of a frame's display matrix, interpreted as by the program ffmpeg (`-autorotate`).

    The matrix maps stored (x, y) to displayed (a x + c y, b x + d y) in 16.16 fixed point (ISO/IEC 14496-12, 6.2.2).
    Scale and shear are ignored.
    """
    a, b, c, d = _display_matrix(frame)
    if math.hypot(a, c) == 0 or math.hypot(b, d) == 0:
        return _Turn()
    degrees = math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c))) % 360
    quarters = round(degrees / 90) % 4
    if abs(degrees - round(degrees / 90) * 90) >= 1:
        return _Turn(degrees=degrees)
    if quarters % 2:
        return _Turn(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
    return _Turn(mirror_x=a < 0, mirror_y=d < 0)


def is_mirrored(frame: av.VideoFrame) -> bool:
    """Whether the frame's display matrix mirrors the picture, besides any rotation."""
    a, b, c, d = _display_matrix(frame)
    return a * d - b * c < 0


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """a, b, c and d of the frame's display matrix; the identity if it has none."""
    data = side_data(frame, Type.DISPLAYMATRIX)
    if data is None:
        return 1 << 16, 0, 0, 1 << 16
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    return a, b, c, d


def deinterlaced(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Deinterlaces frames that the decoder marks as interlaced (bwdif), keeping their times; passes others through.

    The field order is taken from each frame. One more frame is held in memory, since the filter uses its neighbours.
    """
    deinterlacer: _Deinterlacer | None = None
    for frame in frames:
        if deinterlacer is not None and not deinterlacer.takes(frame):
            yield from deinterlacer.rest()
            deinterlacer = None
        if deinterlacer is None and frame.interlaced_frame:
            deinterlacer = _Deinterlacer(frame)
        if deinterlacer is None:
            yield frame
        else:
            yield from deinterlacer.put(frame)
    if deinterlacer is not None:
        yield from deinterlacer.rest()


class _Deinterlacer:
    """FFmpeg's deinterlacer for frames of one format; returns as many frames as it is given."""

    def __init__(self, first: av.VideoFrame):
        self._kind = (first.width, first.height, first.format.name)
        self._waiting: deque[av.VideoFrame] = deque()
        self._count = 0
        graph = Graph()
        source = graph.add_buffer(
            width=first.width, height=first.height, format=first.format.name, time_base=Fraction(1, 1000)
        )
        bwdif = graph.add("bwdif", mode="send_frame", parity="auto", deint="interlaced")
        graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
        self._graph = graph

    def takes(self, frame: av.VideoFrame) -> bool:
        return (frame.width, frame.height, frame.format.name) == self._kind

    def put(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        self._waiting.append(frame)
        stamp = frame.pts
        frame.pts = self._count  # the filter needs increasing time stamps
        self._count += 1
        self._graph.push(frame)
        frame.pts = stamp
        yield from self._ready()

    def rest(self) -> Iterator[av.VideoFrame]:
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            stored = self._waiting.popleft()
            frame.pts, frame.dts, frame.duration = stored.pts, stored.dts, stored.duration
            frame.colorspace, frame.color_range = stored.colorspace, stored.color_range
            frame.color_trc, frame.color_primaries = stored.color_trc, stored.color_primaries
            yield frame


def over_background(colours: UInt8[np.ndarray, "H W 3"], opacity: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Composites colours on `BACKGROUND` by straight alpha, uint8 or uint16 [H W 1]."""
    share = opacity.astype(np.float32) / np.iinfo(opacity.dtype).max
    return (colours * share + np.float32(BACKGROUND) * (1 - share) + np.float32(0.5)).astype(np.uint8)


def _of_limited_range(levels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Expands grey of 16 to 235, which libswscale treats as full range regardless of its tag, to 0 to 255."""
    return np.clip((levels.astype(np.float32) - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)


def _deep_white(frame: av.VideoFrame) -> int:
    """The 16-bit level of white after libswscale, which shifts 8-bit levels (limited range) or the stored ones."""
    if frame.format.is_rgb or frame.format.has_palette:
        return 65535
    bits = frame.format.components[0].bits if frame.color_range == ColorRange.JPEG else 8
    return ((1 << bits) - 1) << (16 - bits)


def _is_full_range(frame: av.VideoFrame) -> bool:
    """Whether untagged samples of this format are full range."""
    name = frame.format.name
    return frame.format.is_rgb or frame.format.has_palette or name.startswith(("yuvj", "gray", "ya", "mono"))


def _has_alpha(frame: av.VideoFrame) -> bool:
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def _same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether one is a multiple of the other, within 1 %."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) < 0.01


def _ratio(value) -> Fraction:
    """A sample aspect ratio; unknown counts as square."""
    return (
        fraction(value)
        if value is not None and value.numerator > 0 and value.denominator > 0
        else Fraction(1)
    )
