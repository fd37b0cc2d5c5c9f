"""Video files and pictures: frames read at a constant rate by their time stamps, mp4 with sound, gif.

Memory stays bounded: `iter_frames` holds a few decoded frames, and `write_video` takes an iterable.
"""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Disposition
from PIL import Image, ImageOps, UnidentifiedImageError

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file
from mtv_jax.typing import Float, UInt8

Number = int | float | Fraction
"""A rate or a time; a Fraction is taken exactly."""

_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov")
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_BT709 = 1
_LIMITED_RANGE = 1
_ROUNDING = Fraction(1, 1000)
"""Seconds that a time stamp may be off: Matroska keeps milliseconds, and its copies in mp4 have them too."""
_TRUNCATED_SECONDS = 0.5
"""A file is called truncated if its frames end this much before its header says."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    `width` and `height` are as shown (after rotation), pixels as stored (sample aspect ratio is ignored).
    `fps` is the average rate. `duration` (seconds) and `num_frames` are the header's, None where it has none.
    Time stamps are `pts * time_base` seconds; `start_pts` is the first frame's.
    """

    width: int
    height: int
    fps: Fraction
    duration: float | None
    num_frames: int | None
    rotation: int
    has_audio: bool
    time_base: Fraction
    start_pts: int


def probe(path: str | os.PathLike) -> VideoInfo:
    """Opens a video and decodes its first frame. Raises UserError as `iter_frames` does."""
    path = existing_file(path)
    with _open_video(path) as (container, stream):
        frame = next(_decode(path, container, stream), None)
        if frame is None:
            raise UserError(f"{path}: the video has no frames")
        turned = frame.rotation % 180 != 0
        time_base = _fraction(stream.time_base)
        duration = stream.duration * time_base if stream.duration else None
        if duration is None and container.duration:
            duration = Fraction(container.duration, av.time_base)
        return VideoInfo(
            width=frame.height if turned else frame.width,
            height=frame.width if turned else frame.height,
            fps=_stream_rate(stream),
            duration=None if duration is None else float(duration),
            num_frames=stream.frames or None,
            rotation=frame.rotation,
            has_audio=bool(container.streams.audio),
            time_base=time_base,
            start_pts=_start_pts(frame, stream),
        )


def iter_frames(
    path: str | os.PathLike,
    *,
    fps: Number | None = None,
    start: Number = 0.0,
    duration: Number | None = None,
    num_frames: int | None = None,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yields RGB frames at a constant rate: frame i is what is on screen at `start + i / fps`.

    Time 0 is the first frame. Frames are chosen by time stamps, so a variable frame rate keeps its timing;
    the last frame stays for its own duration. The display rotation of phones is applied.

    Args:
      fps: frames a second to give; None: the file's average rate.
      start: seconds from the first frame.
      duration: seconds to give at most; None: to the end.
      num_frames: frames to give at most; None: as many as `duration` or the file holds.

    Raises:
      UserError: no such file, not a video, no video stream, no frames, damaged or truncated, or `start`
        beyond the end; when the file has that, not at the call but while frames are drawn.
    """
    path = existing_file(path)
    with _open_video(path) as (container, stream):
        rate = exact_fps(fps) if fps is not None else _stream_rate(stream)
        begin = Fraction(start).limit_denominator(1_000_000)
        limit = num_frames
        if duration is not None:
            fits = round(Fraction(duration).limit_denominator(1_000_000) * rate)
            limit = fits if limit is None else min(limit, fits)
        frames = _timed_frames(path, container, stream, begin)
        slack = min(max(_fraction(stream.time_base), _ROUNDING), 1 / (8 * max(rate, _stream_rate(stream))))
        yield from itertools.islice(_resample(path, frames, rate, begin, slack), limit)


def read_video(
    path: str | os.PathLike,
    *,
    fps: Number | None = None,
    start: Number = 0.0,
    duration: Number | None = None,
    num_frames: int | None = None,
) -> tuple[UInt8[np.ndarray, "F H W 3"], float]:
    """Reads frames as `iter_frames` yields them, stacked, and their rate (frames a second).

    Raises:
      UserError: as `iter_frames`; also if fewer than `num_frames` frames are there.
    """
    path = existing_file(path)
    rate = probe(path).fps if fps is None else exact_fps(fps)
    frames = list(iter_frames(path, fps=rate, start=start, duration=duration, num_frames=num_frames))
    if not frames:
        raise UserError(f"{path}: no frames in the {float(duration or 0):g} s after {float(start):g} s")
    if num_frames is not None and duration is None and len(frames) < num_frames:
        raise UserError(
            f"{path}: {num_frames} frames at {float(rate):g} fps from {float(start):g} s were asked for, "
            f"the video holds {len(frames)}; ask for fewer"
        )
    return np.stack(frames), float(rate)


def exact_fps(fps: Number) -> Fraction:
    """The rate as a fraction: 23.976, 29.97 and 59.94 become n * 1000/1001. Raises UserError unless > 0."""
    if isinstance(fps, Fraction):
        exact = fps
    elif not np.isfinite(fps) or fps <= 0:
        raise UserError(f"fps {fps}: a frame rate is a number above 0")
    else:
        ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
        is_ntsc = fps != round(fps) and abs(float(ntsc) - fps) < 2e-3
        exact = ntsc if is_ntsc else Fraction(fps).limit_denominator(1001)
    if exact <= 0:
        raise UserError(f"fps {fps}: a frame rate is a number above 0")
    return exact


def write_video(
    path: str | os.PathLike,
    frames: UInt8[np.ndarray, "F H W 3"] | Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: Number,
    *,
    audio: Float[np.ndarray, "s"] | Float[np.ndarray, "s c"] | None = None,
    sample_rate: int | None = None,
    crf: int = 18,
    preset: str = "medium",
) -> None:
    """Writes an mp4 (h264, yuv420p, BT.709, index in front) that is whole or not there.

    Sound is AAC, cut or padded with silence to exactly F / fps seconds, its sample 0 at frame 0. A rate AAC
    does not know is resampled to 48 kHz.

    Args:
      path: ends in .mp4, .m4v or .mov.
      frames: RGB; even height and width.
      fps: frames a second.
      audio: [s] mono or [s, 1 or 2], full scale +-1 (louder is clipped).
      sample_rate: samples a second of `audio`.
      crf: x264 quality, 0 (lossless) to 51; 18 is visually close to the original.

    Raises:
      UserError: another suffix, odd sides, no frames, or sound that is not finite or has over 2 channels.
    """
    path = Path(path)
    if path.suffix.lower() not in _VIDEO_SUFFIXES:
        raise UserError(f"{path}: video is written as {', '.join(_VIDEO_SUFFIXES)}; name one of these")
    rate = exact_fps(fps)
    sound = None if audio is None else _checked_sound(path, audio, sample_rate)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"{path}: there are no frames to write")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise UserError(f"{path}: h264 yuv420p needs an even width and height, these are {width}x{height}")
    try:
        with atomic_path(path) as temporary:
            options = {"movflags": "+faststart"}
            with av.open(str(temporary), "w", format="mp4", options=options) as container:
                _encode(
                    container,
                    itertools.chain([first], frames),
                    rate,
                    sound,
                    {"crf": str(crf), "preset": preset},
                )
    except FFmpegError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def write_gif(
    path: str | os.PathLike,
    frames: UInt8[np.ndarray, "F H W 3"] | Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: Number,
) -> None:
    """Writes an endless gif, atomically. Its clock ticks every 10 ms: frames are rounded, the sum is not."""
    images = [Image.fromarray(frame) for frame in frames]
    if not images:
        raise UserError(f"{path}: there are no frames to write")
    ticks = np.round(np.arange(len(images) + 1) * 100 / float(exact_fps(fps))).astype(int)
    durations = [max(2, int(ticks)) * 10 for ticks in np.diff(ticks)]  # viewers slow down below 20 ms
    with atomic_path(path) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0
        )


def read_image(path: str | os.PathLike) -> UInt8[np.ndarray, "H W 3"]:
    """Reads a picture as RGB, turned as its EXIF says. Raises UserError if it is missing or not a picture."""
    path = existing_file(path)
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError as error:
        raise UserError(f"{path}: not a picture that can be read") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: damaged picture ({error})") from error


def write_image(path: str | os.PathLike, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Writes a picture (png, jpg, webp by suffix), atomically. Raises UserError for an unknown suffix."""
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise UserError(f"{path}: not a kind of picture that can be written; end the name in .png or .jpg")
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)


@contextlib.contextmanager
def _open_video(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError) as error:
        size = path.stat().st_size
        reason = "the file is empty" if size == 0 else getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: not a video that can be read, or truncated ({reason})") from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise UserError(f"{path}: no video stream in it (only sound, or truncated)")
        if streams[0].codec_context is None:
            raise UserError(f"{path}: truncated, or of a codec that cannot be read")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _decode(path: Path, container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    try:
        yield from container.decode(stream)
    except FFmpegError as error:
        raise UserError(f"{path}: damaged or truncated video ({error.strerror})") from error


def _timed_frames(
    path: Path, container: InputContainer, stream: av.VideoStream, start: Fraction
) -> Iterator[tuple[Fraction, Fraction, av.VideoFrame]]:
    """Decoded frames with begin and end (seconds from the first frame), from a key frame before `start`."""
    decoded = _decode(path, container, stream)
    first = next(decoded, None)
    if first is None:
        raise UserError(f"{path}: the video has no frames")
    time_base, origin = _fraction(stream.time_base), _start_pts(first, stream)
    usual = 1 / _stream_rate(stream)
    frames = itertools.chain([first], decoded)
    if start > 2:
        frames = _sought(path, container, stream, origin, start) or frames
    begin = end = Fraction(-1)
    for frame in frames:
        begin = end if frame.pts is None else (frame.pts - origin) * time_base
        length = frame.duration * time_base if frame.duration else usual
        end = begin + length
        yield begin, end, frame
    declared = (stream.duration or 0) * time_base
    if declared - end > max(_TRUNCATED_SECONDS, 2 * usual):
        raise UserError(
            f"{path}: truncated or damaged: its frames end at {float(end):.2f} s, "
            f"its header says {float(declared):.2f} s"
        )


def _sought(
    path: Path, container: InputContainer, stream: av.VideoStream, origin: int, start: Fraction
) -> Iterator[av.VideoFrame] | None:
    """Frames from a key frame at or before `start`; None if the file cannot seek."""
    time_base = _fraction(stream.time_base)
    # A second of margin: with B frames and edit lists a key frame's time differs a little from the index's.
    for target in (origin + int((start - 1) / time_base), origin):
        try:
            container.seek(target, stream=stream, backward=True)
        except FFmpegError:
            return None
        decoded = _decode(path, container, stream)
        first = next(decoded, None)
        if first is not None and first.pts is not None and (first.pts - origin) * time_base <= start:
            return itertools.chain([first], decoded)
    raise UserError(f"{path}: cannot be read from {float(start):g} s (damaged index)")


def _resample(
    path: Path,
    frames: Iterator[tuple[Fraction, Fraction, av.VideoFrame]],
    rate: Fraction,
    start: Fraction,
    slack: Fraction,
) -> Iterator[np.ndarray]:
    """Holds each frame until the next one's time. A frame up to `slack` seconds late counts as in time."""
    count = 0
    shown: av.VideoFrame | None = None
    pixels: np.ndarray | None = None
    last = Fraction(0)
    for begin, end, frame in frames:
        while shown is not None and start + count / rate + slack < begin:
            pixels = _to_rgb(shown) if pixels is None else pixels
            yield pixels
            count += 1
        shown, pixels, last = frame, None, end
    while shown is not None and start + count / rate + slack < last:
        pixels = _to_rgb(shown) if pixels is None else pixels
        yield pixels
        count += 1
    if count == 0:
        raise UserError(f"{path}: nothing at {float(start):g} s, the video ends at {float(last):.2f} s")


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    pixels = frame.to_ndarray(format="rgb24")
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


def _encode(
    container: OutputContainer,
    frames: Iterator[np.ndarray],
    rate: Fraction,
    sound: tuple[np.ndarray, int] | None,
    options: dict[str, str],
) -> None:
    """Encodes frames and, after each, its share of the sound, so that the muxer can interleave them."""
    video = container.add_stream("libx264", rate=rate, options=options)
    video.pix_fmt = "yuv420p"
    context = video.codec_context
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    speaker = None
    if sound is not None:
        samples, sample_rate = sound
        speaker = container.add_stream("aac", rate=sample_rate if sample_rate in _AAC_RATES else 48000)
        speaker.layout = "mono" if samples.shape[1] == 1 else "stereo"
        speaker.bit_rate = 96_000 * samples.shape[1]
    sent = 0
    for index, pixels in enumerate(frames):
        if index == 0:
            video.height, video.width = pixels.shape[:2]
        container.mux(video.encode(_video_frame(pixels, index, rate)))
        if sound is not None and speaker is not None:
            until = round((index + 1) / rate * sound[1])
            container.mux(speaker.encode(_audio_frame(sound, sent, until)))
            sent = until
    container.mux(video.encode(None))
    if speaker is not None:
        container.mux(speaker.encode(None))


def _video_frame(pixels: np.ndarray, index: int, rate: Fraction) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    frame.pts, frame.time_base = index, 1 / rate
    return frame


def _audio_frame(sound: tuple[np.ndarray, int], begin: int, end: int) -> av.AudioFrame:
    samples, sample_rate = sound
    piece = samples[begin:end]
    piece = np.pad(piece, [(0, end - begin - len(piece)), (0, 0)])
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece.T), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, begin, Fraction(1, sample_rate)
    return frame


def _checked_sound(path: Path, audio: np.ndarray, sample_rate: int | None) -> tuple[np.ndarray, int]:
    """[s, c] float32 within full scale, and its rate."""
    if not sample_rate or sample_rate <= 0:
        raise UserError(f"{path}: sound without a sample rate; give sample_rate")
    samples = np.asarray(audio, np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or samples.shape[1] not in (1, 2):
        raise UserError(f"{path}: sound has the shape {np.shape(audio)}; it must be [s], [s, 1] or [s, 2]")
    if not np.isfinite(samples).all():
        raise UserError(f"{path}: the sound holds samples that are not finite")
    return np.clip(samples, -1.0, 1.0), int(sample_rate)


def _stream_rate(stream: av.VideoStream) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    return _fraction(rate) if rate else Fraction(25)


def _start_pts(frame: av.VideoFrame, stream: av.VideoStream) -> int:
    return frame.pts if frame.pts is not None else stream.start_time or 0


def _fraction(value) -> Fraction:
    """PyAV's own rational (19 and up) or a Fraction, as a Fraction."""
    return Fraction(value.numerator, value.denominator)
