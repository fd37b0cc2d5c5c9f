"""A folder of videos becomes shards: decode, cut into clips, resize, encode pictures, prompt and sound.

Beside a video lies what is known of it, under the same name with `.json`: `{"prompt": ..., "licence": ...}`.
Every finished video is kept in `<out>/.work`, so that an interrupted run resumes. A video that cannot
be used is left out, and the manifest says why.
"""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
from av.error import FFmpegError

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR
from mtv_jax.audio.silence import note_silence
from mtv_jax.audio.tracks import MIX, Tracks, make_tracks
from mtv_jax.curation.encoders import Encoders
from mtv_jax.data.manifests import ENCODERS
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id, decode_record, encode_record
from mtv_jax.data.shards import write_shards
from mtv_jax.data.transforms import resize_crop
from mtv_jax.io.audio import read_recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import DiskError, atomic_path, read_json, sha256
from mtv_jax.io.progress import progress
from mtv_jax.io.video import iter_frames, probe, read_video
from mtv_jax.io.video_folders import videos_in
from mtv_jax.names import TRACK_RATE

MTV_SKIP = 3
"""Frames that MTV leaves out at the start of a video, of which it takes every frame."""


def default_skip(size: ClipSize) -> int:
    """Frames to leave out at the start of a video: as MTV does at the videos' own rate, else none."""
    return MTV_SKIP if size.native_rate else 0


_BAD = (UserError, FFmpegError, OSError, ValueError, ArithmeticError, LookupError)
"""What a damaged or strange video may raise."""


@dataclass(frozen=True)
class BuildConfig:
    """What clips to make.

    Attributes:
      size: frames, frame rate, height and width of a clip.
      stride: frames from one clip's start to the next; less than the clip's length makes them overlap.
      skip: frames at the start of a video that no clip has (MTV: `MTV_SKIP`), counted at the clips' rate, as
        `stride` is.
      frames_only: keep pixels (to train an autoencoder) instead of latents, text and sound.
      separator: what separates the sound of a video.
      normalize_loudness: whether speech is brought to one level (`mtv_jax.audio.loudness`), as `sample` does.
    """

    size: ClipSize
    stride: int
    skip: int = 0
    frames_only: bool = False
    separator: str = DEFAULT_SEPARATOR
    normalize_loudness: bool = True

    def __post_init__(self):
        self.size.check()
        if self.stride < 1:
            raise UserError(f"stride {self.stride}: must be at least 1 frame")
        if self.skip < 0:
            raise UserError(f"skip {self.skip}: must be 0 frames or more")


class BadVideosError(Exception):
    """No video of a folder could be used, or (`strict`) one could not.

    Attributes:
      left_out: name of each file that could not be used, and why, if there was none that could.
    """

    def __init__(self, message: str, left_out: Mapping[str, str] | None = None):
        super().__init__(message)
        self.left_out = dict(left_out or {})


def build_shards(
    videos: Path, out: Path, encoders: Encoders | None, config: BuildConfig, *, strict: bool = False
) -> dict[str, Any]:
    """Writes shards of all clips of the videos in a folder, and returns their manifest.

    `encoders` may be None with `frames_only`. A video that cannot be used (damaged, without description or sound, a
    copy of another, shorter than a clip) is left out: `manifest["info"]["left_out"]` has its name and the reason.

    Raises:
      UserError: a folder without videos, or only with such as are shorter than a clip.
      BadVideosError: no video could be used; with `strict`, the first that cannot, unless it is only too short, or a
        copy.
    """
    files, ignored = videos_in(videos)
    for name, reason in ignored.items():
        print(f"ignored: {name} ({reason})", file=sys.stderr)
    work = out / ".work"
    identity = encoders.identity if encoders is not None else {}
    name = f"{{}}-{config_stamp(config, identity)}.msgpack"
    parts, left_out = _finished(
        files, work, name, partial(_encoded, encoders=encoders, config=config), strict
    )
    short = {name: f"shorter than {_needed(config)}" for part, name in parts.items() if not _count(part)}
    if left_out and len(short) == len(parts):
        raise BadVideosError(f"{videos}: none of its {len(files)} videos could be used", left_out | short)
    info = {
        ENCODERS: identity,
        "separator": config.separator,
        "normalize_loudness": config.normalize_loudness,
        "stride": config.stride,
        "skip": config.skip,
        "left_out": dict(sorted((left_out | short).items())),
    }
    kind = "frames" if config.frames_only else "latents"
    manifest = write_shards(out, _records(list(parts), config), kind=kind, info=info)
    if encoders is not None and not config.frames_only:
        encoders.save(out / ENCODERS, config.size)
    shutil.rmtree(work)
    return manifest


def _finished(
    files: list[Path], work: Path, name: str, encode: Callable[[Path], bytes], strict: bool
) -> tuple[dict[Path, str], dict[str, str]]:
    """The finished work of each video (and its name), made unless it is there; and which are left out, and why.

    `name` is that of finished work, of a video's hash.
    """
    parts: dict[Path, str] = {}
    left_out: dict[str, str] = {}
    for file in progress(files, "encoding videos"):
        try:
            part = work / name.format(sha256(file))
            data = None if part.exists() else encode(file)
        except DiskError:
            raise  # of a temporary file: that the disk is full says nothing of the video
        except _BAD as error:
            left_out[file.name] = _reason(file, error)
            if strict:
                raise BadVideosError(f"{file}: {left_out[file.name]}") from error
            continue
        if data is not None:
            with atomic_path(part) as temporary:
                temporary.write_bytes(data)
        if part in parts:
            left_out[file.name] = f"the same video as {parts[part]}"
        else:
            parts[part] = file.name
    return parts, left_out


def _encoded(file: Path, encoders: Encoders | None, config: BuildConfig) -> bytes:
    """The records of a video's clips."""
    return msgpack.packb([encode_record(record) for record in clips_of(file, encoders, config)]) or b""


def _count(part: Path) -> int:
    """How many clips a finished video has."""
    return msgpack.Unpacker(io.BytesIO(part.read_bytes()[:16])).read_array_header()


def _reason(file: Path, error: Exception) -> str:
    """What an error says of a video, without its folder and its name."""
    text = " ".join(str(error).split()).removeprefix(f"{file}: ").replace(f"{file.parent}{os.sep}", "")
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def clips_of(file: Path, encoders: Encoders | None, config: BuildConfig) -> Iterator[ClipRecord]:
    """The clips of a video, every `stride` frames while they are whole."""
    size = size_of(file, config.size)
    about = describe(file)
    digest = sha256(file)
    tracks = None
    if not config.frames_only:
        tracks = _tracks_of(file, config)
    text = None if encoders is None or config.frames_only else encoders.text.encode([about["prompt"]])[0]
    for begin, source in _cuts(file, digest, size, config, about.get("licence", "unknown")):
        frames, _ = read_video(file, fps=size.fps, start=float(begin), num_frames=size.num_frames)
        frames = resize_crop(frames, size.height, size.width)
        arrays = {"video": frames}
        if encoders is not None and tracks is not None and text is not None:
            first = round(begin * TRACK_RATE)
            # No more than the clip: an encoder that hears all would hear what it must not know of, and be compiled
            # anew for every length.
            last = first + round(size.num_frames / size.fps * TRACK_RATE)
            heard = {name: samples[first:last] for name, samples in tracks.items()}
            arrays = encoders.encode(frames, heard, text, size)
        yield ClipRecord(
            id=clip_id(digest, source.start_pts, source.end_pts, source.time_base),
            prompt=about["prompt"],
            fps=(size.fps.numerator, size.fps.denominator),
            num_frames=size.num_frames,
            height=size.height,
            width=size.width,
            source=source,
            arrays=arrays,
        )


def _tracks_of(file: Path, config: BuildConfig) -> Tracks:
    """The tracks of a whole video, separated; logs a warning if its sound is silent."""
    sound = read_recording(file)
    note_silence("audio", file, sound.mono(TRACK_RATE), TRACK_RATE)
    return make_tracks({MIX: sound}, separator=config.separator, normalize_loudness=config.normalize_loudness)


def size_of(file: Path, size: ClipSize) -> ClipSize:
    """`size` for the clips of one video: at its own rate, on average, if that is what is wanted."""
    return dataclasses.replace(size, fps=probe(file).fps) if size.native_rate else size


def _cuts(
    file: Path, digest: str, size: ClipSize, config: BuildConfig, licence: str
) -> Iterator[tuple[Fraction, ClipSource]]:
    """Start (seconds after the first frame) and source of every whole clip of a video."""
    info = probe(file)
    base, length = info.time_base, size.num_frames / size.fps
    # A header may be silent on the length, or round it: the frames are what counts.
    available = sum(1 for _ in iter_frames(file, fps=size.fps))
    for first in range(config.skip, available - size.num_frames + 1, config.stride):
        begin = Fraction(first) / size.fps
        start, end = (info.start_pts + round(t / base) for t in (begin, begin + length))
        yield begin, ClipSource(file.name, digest, start, end, (base.numerator, base.denominator), licence)


def describe(file: Path) -> dict[str, str]:
    """What lies beside a video about it. Raises UserError if that is missing or has no prompt."""
    path = file.with_suffix(".json")
    if not path.exists():
        raise UserError(
            f'{file}: no description; write {path.name} with {{"prompt": "what is seen"}} beside it'
        )
    about = read_json(path)
    if not isinstance(about, dict) or not isinstance(about.get("prompt"), str) or not about["prompt"].strip():
        raise UserError(f'{path}: must hold {{"prompt": "what is seen"}}')
    if not isinstance(about.get("licence", ""), str):
        raise UserError(f"{path}: licence must be a text")
    return about


def _records(parts: list[Path], config: BuildConfig) -> Iterator[ClipRecord]:
    count = 0
    for part in parts:
        for data in msgpack.unpackb(part.read_bytes()):
            count += 1
            yield decode_record(data)
    if not count:
        raise UserError(f"no video is as long as {_needed(config)}: give longer videos or shorter clips")


def _needed(config: BuildConfig) -> str:
    """What a video must have, in words."""
    frames = config.skip + config.size.num_frames
    length = f"{frames} frames"
    if not config.size.native_rate:
        length = f"{float(frames / config.size.fps):.2f} s"
    return f"a clip ({length}{', the skipped start included' if config.skip else ''})"


def config_stamp(config: Any, identity: dict[str, Any]) -> str:
    """Names what finished work was made with, so that another config (a dataclass) does not reuse it."""
    text = json.dumps([dataclasses.asdict(config), identity], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
