"""Small video and sound files of any kind, for tests of how they are read."""

import os
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.filter import Graph

SHARED = Path(os.environ.get("MTV_JAX_MEDIA", Path(__file__).resolve().parents[2] / "shared" / "media"))
"""Real films and sounds, which are no part of the repository; tests that use them are skipped without."""

COLOURS = np.array(
    [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 255],
        [0, 0, 0],
        [200, 120, 90],
        [60, 60, 60],
        [40, 90, 200],
    ],
    np.uint8,
)
"""Of `bars`, from left to right."""
UNTAGGED = (2, 0, 2, 2)
"""Matrix, range, transfer and primaries of a frame (H.273) that says nothing of its colours."""


def bars(height: int = 32, width: int = 128) -> np.ndarray:
    """uint8 [H W 3]: eight flat colours side by side."""
    return np.broadcast_to(np.repeat(COLOURS, width // 8, axis=0), (height, width, 3)).copy()


def bar_colours(picture: np.ndarray) -> np.ndarray:
    """int [8 3]: the colours in the middle of the bars."""
    height, width = picture.shape[:2]
    return picture[height // 2, width // 16 :: width // 8].astype(int)


def quarters() -> np.ndarray:
    """uint8 [32 48 3]: red, green over blue, white."""
    rows = [np.concatenate([np.full((16, 24, 3), c) for c in pair], axis=1) for pair in _QUARTERS]
    return np.concatenate(rows).astype(np.uint8)


def quarter_names(picture: np.ndarray) -> str:
    """Letters of the colours of a picture's quarters, row by row: `RGBW` as `quarters` makes it."""
    height, width = picture.shape[:2]
    middles = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return "".join(_LETTERS.get(tuple(picture[place] > 128), "?") for place in middles)


_QUARTERS = (([255, 0, 0], [0, 255, 0]), ([0, 0, 255], [255, 255, 255]))
_LETTERS = {(True, False, False): "R", (False, True, False): "G", (False, False, True): "B", (True,) * 3: "W"}


def rgb_frame(pixels: np.ndarray, pix_fmt: str = "rgb24") -> av.VideoFrame:
    """A frame of RGB or RGBA pixels, converted by FFmpeg's defaults."""
    frame = av.VideoFrame.from_ndarray(pixels, format="rgba" if pixels.shape[2] == 4 else "rgb24")
    return frame.reformat(format=pix_fmt)


def yuv_frame(
    signal: np.ndarray, kr: float, kb: float, *, full: bool = False, bits: int = 8
) -> av.VideoFrame:
    """A 4:4:4 frame of RGB signals in 0..1 [H W 3], by the formulas of H.273 (8.3) with a matrix's kr and kb."""
    luma = signal @ np.array([kr, 1 - kr - kb, kb])
    chroma = [(signal[..., 2] - luma) / (2 - 2 * kb), (signal[..., 0] - luma) / (2 - 2 * kr)]
    step, most = 1 << (bits - 8), (1 << bits) - 1
    if full:
        planes = [most * luma, *(most * c + (most + 1) / 2 for c in chroma)]
    else:
        planes = [(16 + 219 * luma) * step, *((128 + 224 * c) * step for c in chroma)]
    height, width = luma.shape
    frame = av.VideoFrame(width, height, "yuv444p" if bits == 8 else f"yuv444p{bits}le")
    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((height, plane.line_size // kind.itemsize), kind)
        rows[:, :width] = np.clip(np.round(values), 0, most)
        plane.update(rows.tobytes())
    return frame


def with_fields(frames: Sequence[av.VideoFrame], top_first: bool) -> list[av.VideoFrame]:
    """The frames flagged as interlaced."""
    first, graph = frames[0], Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format.name, time_base=Fraction(1, 25)
    )
    flags = graph.add("setfield", "tff" if top_first else "bff")
    graph.link_nodes(source, flags, graph.add("buffersink")).configure()
    flagged = []
    for index, frame in enumerate(frames):
        frame.pts = index
        graph.push(frame)
        flagged.append(graph.pull())
    return flagged


def write_film(
    path: Path,
    frames: Sequence[av.VideoFrame],
    codec: str = "ffv1",
    *,
    rate: int = 25,
    tags: tuple[int, int, int, int] = UNTAGGED,
    aspect: Fraction | None = None,
    first_pts: int = 0,
    stamps: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    sound: tuple[np.ndarray, int, int] | None = None,
) -> Path:
    """Encodes frames as they are; `tags` as in `UNTAGGED`.

    `stamps` are the frames' time stamps in 1 / rate seconds, if they are not consecutive. `sound` is int16 [s, c], its
    rate and the time stamp of its first sample, and is stored as PCM.
    """
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        context = stream.codec_context
        stream.pix_fmt = frames[0].format.name
        stream.width, stream.height = frames[0].width, frames[0].height
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = tags
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if sound is not None:
            _add_pcm(container, *sound)
        for index, frame in enumerate(frames):
            frame.pts = first_pts + (index if stamps is None else stamps[index])
            frame.time_base = Fraction(1, rate)
            frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = tags
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _add_pcm(container: Any, samples: np.ndarray, rate: int, first_pts: int) -> None:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    encoder: Any = container.add_stream("pcm_s16le", rate=rate)
    encoder.layout = layout
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout=layout
    )
    frame.sample_rate, frame.pts, frame.time_base = rate, first_pts, Fraction(1, rate)
    container.mux(encoder.encode(frame))
    container.mux(encoder.encode(None))


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Writes the first four numbers of the matrix of the first track of an mp4 (ISO/IEC 14496-12, 8.3.2)."""
    data = path.read_bytes()
    place = data.index(b"tkhd") + 4 + 4 + 36
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:place] + matrix + data[place + 36 :])


def write_sound(
    path: Path,
    streams: Sequence[tuple[np.ndarray, int]],
    codec: str,
    *,
    rate: int = 16000,
    layout: str = "mono",
) -> Path:
    """Encodes sounds [s] or [s, channels] in +-1, each a stream with a disposition."""
    with av.open(str(path), "w") as container:
        encoders: list[Any] = []
        for _, disposition in streams:
            encoder: Any = container.add_stream(codec, rate=rate)
            encoder.layout = layout
            if disposition:
                encoder.disposition = int(getattr(disposition, "value", disposition))
            encoders.append(encoder)
        for encoder, (samples, _) in zip(encoders, streams, strict=True):
            packed = np.ascontiguousarray(samples.reshape(1, -1), np.float32)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            container.mux(encoder.encode(frame))
            container.mux(encoder.encode(None))
    return path
