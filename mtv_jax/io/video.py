"""Reads video frames as displayed, at a constant rate by their time stamps; writes mp4 with sound, and gif.

Memory is bounded: `iter_frames` holds a few decoded frames, and `write_video` takes an iterable.
"""

import dataclasses
import importlib.metadata
import itertools
import os
import platform
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from jaxtyping import Float, UInt8
from PIL import Image

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file
from mtv_jax.io.film import ROUNDING_SECONDS, Film, open_film
from mtv_jax.io.pictures import read_image as read_image
from mtv_jax.io.pictures import write_image as write_image
from mtv_jax.io.rates import Number, exact_fps
from mtv_jax.names import VIDEO_SOUND_RATE

_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov")
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_CRF = 18
"""x264 quality, 0 (lossless) to 51; 18 is visually close to the original."""
_SAME_BYTES = {"x264-params": "asm=SSE4.2"} if platform.machine().lower() in ("x86_64", "amd64") else {}
"""x264's code for AVX-512 reads memory that nothing was written to, so that it encodes the same frames now and then to
other bytes, at sizes that are no multiples of 16 above all. Older instructions take no longer."""
_BT709 = 1
_LIMITED_RANGE = 1


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """Properties of a video file.

    `width` and `height` are those of the displayed picture: upright, in square pixels. `rotation` is that of the
    display matrix in degrees. `fps` is the average rate. `duration` (seconds) and `num_frames` are the header's, None
    if it has none. Time stamps are `pts * time_base` seconds; `start_pts` is the first frame's.
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
    """Opens a video and decodes its first frame. Raises UserError like `iter_frames`."""
    with open_film(existing_file(path)) as film:
        height, width = film.display.size
        duration = film.declared
        if duration is None and film.container.duration:
            duration = Fraction(film.container.duration, av.time_base)
        return VideoInfo(
            width=width,
            height=height,
            fps=film.rate,
            duration=None if duration is None else float(duration),
            num_frames=film.stream.frames or None,
            rotation=film.first.rotation,
            has_audio=bool(film.container.streams.audio),
            time_base=film.time_base,
            start_pts=film.start_pts,
        )


def iter_frames(
    path: str | os.PathLike,
    *,
    fps: Number | None = None,
    start: Number = 0.0,
    num_frames: int | None = None,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yields RGB frames at a constant rate: frame i is the one displayed at `start + i / fps`.

    Time 0 is the first frame. Frames are selected by time stamps, so a variable frame rate keeps its timing; the
    last frame lasts for its own duration. Frames are converted for display (`mtv_jax.io.display`): upright by the
    display matrix, square pixels, deinterlaced, PQ and HLG tone-mapped to sRGB, transparency on white, all at the
    size of the first one.

    Args:
      fps: frames per second of the result; None: the file's average rate.
      start: seconds from the first frame.
      num_frames: maximum number of frames; None: all.

    Raises:
      UserError: no such file, not a video, no video stream, no frames, damaged or truncated, `start` beyond the
        end, unsupported colours, or a picture that changes its shape. Errors within the file are raised while
        iterating, not at the call.
    """
    path = existing_file(path)
    with open_film(path) as film:
        rate = exact_fps(fps) if fps is not None else film.rate
        begin = Fraction(start).limit_denominator(1_000_000)
        slack = min(max(film.time_base, ROUNDING_SECONDS), 1 / (8 * max(rate, film.rate)))
        yield from itertools.islice(_resample(film, rate, begin, slack), num_frames)


def read_video(
    path: str | os.PathLike,
    *,
    fps: Number | None = None,
    start: Number = 0.0,
    num_frames: int | None = None,
) -> tuple[UInt8[np.ndarray, "F H W 3"], float]:
    """Reads the frames of `iter_frames` into one array; also returns their rate (frames per second).

    Raises:
      UserError: like `iter_frames`; also if there are fewer than `num_frames` frames.
    """
    path = existing_file(path)
    rate = probe(path).fps if fps is None else exact_fps(fps)
    frames = list(iter_frames(path, fps=rate, start=start, num_frames=num_frames))
    if not frames:
        raise UserError(f"{path}: no frames after {float(start):g} s")
    if num_frames is not None and len(frames) < num_frames:
        raise UserError(
            f"{path}: {num_frames} frames at {float(rate):g} fps from {float(start):g} s were requested, "
            f"the video holds {len(frames)}; ask for fewer"
        )
    return np.stack(frames), float(rate)


def write_video(
    path: str | os.PathLike,
    frames: UInt8[np.ndarray, "F H W 3"] | Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: Number,
    *,
    audio: Float[np.ndarray, "s"] | Float[np.ndarray, "s c"] | None = None,
    sample_rate: int | None = None,
    crf: int = _CRF,
    preset: str = "medium",
    comment: str | None = None,
    threads: int = 0,
) -> None:
    """Writes an mp4 (h264, yuv420p, BT.709, index in front) atomically.

    Sound is AAC, cut or padded with silence to exactly F / fps seconds, with sample 0 at frame 0. Sample rates that AAC
    does not support are resampled to 48 kHz.

    Args:
      path: ends in .mp4, .m4v or .mov.
      frames: RGB; even height and width.
      fps: frames per second.
      audio: [s] mono or [s, 1 or 2], full scale +-1 (louder samples are clipped).
      sample_rate: of `audio`, in Hz.
      crf: x264 quality, 0 (lossless) to 51.
      preset: of x264; faster ones give slightly larger files.
      comment: of the container; None marks it as generated (`made_by`), as in a gif.
      threads: of the encoder, whose output depends on their number; 0: by the number of cores.

    Raises:
      UserError: unsupported suffix, odd height or width, no frames, or sound that is not finite or has over 2 channels.
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
                container.metadata["comment"] = made_by() if comment is None else comment
                _encode(
                    container,
                    itertools.chain([first], frames),
                    rate,
                    sound,
                    {"crf": str(crf), "preset": preset, "threads": str(threads), **_SAME_BYTES},
                )
    except FFmpegError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def write_gif(
    path: str | os.PathLike,
    frames: UInt8[np.ndarray, "F H W 3"] | Iterable[UInt8[np.ndarray, "H W 3"]],
    fps: Number,
) -> None:
    """Writes a looping gif atomically. Its clock has 10 ms ticks: durations are rounded without drift."""
    images = [Image.fromarray(frame) for frame in frames]
    if not images:
        raise UserError(f"{path}: there are no frames to write")
    ticks = np.round(np.arange(len(images) + 1) * 100 / float(exact_fps(fps))).astype(int)
    durations = [max(2, int(ticks)) * 10 for ticks in np.diff(ticks)]  # viewers slow down below 20 ms
    with atomic_path(path) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            comment=made_by(),
        )


def made_by() -> str:
    """The comment in written files, which marks them as generated and names this program.

    The last word is IPTC's term for media made by a trained model (cv.iptc.org/newscodes/digitalsourcetype).
    """
    try:
        version = importlib.metadata.version("mtv_jax")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        version = "of unknown version"
    return f"Generated by mtv_jax {version}; digital source type: trainedAlgorithmicMedia"


def _resample(film: Film, rate: Fraction, start: Fraction, slack: Fraction) -> Iterator[np.ndarray]:
    """Repeats each frame until the next one's time. A frame up to `slack` seconds late counts as on time."""
    count, until = 0, Fraction(0)
    for begin, until, frame in film.shown(start):
        pixels: np.ndarray | None = None
        while start + count / rate + slack < until:
            pixels = film.display.show(frame, float(begin)) if pixels is None else pixels
            yield pixels
            count += 1
    if count == 0:
        raise UserError(f"{film.path}: nothing at {float(start):g} s, the video ends at {float(until):.2f} s")


def _encode(
    container: OutputContainer,
    frames: Iterator[np.ndarray],
    rate: Fraction,
    sound: tuple[np.ndarray, int] | None,
    options: dict[str, str],
) -> None:
    """Encodes frames, each followed by its part of the sound, so that the muxer can interleave them."""
    video = container.add_stream("libx264", rate=rate, options=options)
    video.pix_fmt = "yuv420p"
    context = video.codec_context
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    speaker = None
    if sound is not None:
        samples, sample_rate = sound
        speaker = container.add_stream(
            "aac", rate=sample_rate if sample_rate in _AAC_RATES else VIDEO_SOUND_RATE
        )
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
    """Sound as float32 [s, c] clipped to full scale, and its sample rate."""
    if not sample_rate or sample_rate <= 0:
        raise UserError(f"{path}: sound without a sample rate; give sample_rate")
    samples = np.asarray(audio, np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or samples.shape[1] not in (1, 2):
        raise UserError(f"{path}: sound has the shape {np.shape(audio)}; it must be [s], [s, 1] or [s, 2]")
    if not np.isfinite(samples).all():
        raise UserError(f"{path}: the sound holds samples that are not finite")
    return np.clip(samples, -1.0, 1.0), int(sample_rate)
