"""Makes the videos of a test set, with the manifest that measures them.

OUT/videos/ID.mp4      what the pipeline makes of a clip's prompt and tracks, with their sound
OUT/reference/ID.mp4   the clip itself
OUT/tracks/ID/*.flac   its tracks
OUT/manifest.jsonl     written last
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.data.manifests import MEDIA, MP4, TEST
from mtv_jax.data.records import ClipRecord
from mtv_jax.data.shards import ShardSet, open_shards
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.evaluation.report.provenance import provenance
from mtv_jax.evaluation.videos.options import GenerateOptions
from mtv_jax.io.audio import fit_length, read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, read_json, write_json, write_text
from mtv_jax.io.lock import FolderLock
from mtv_jax.io.progress import progress, say
from mtv_jax.io.rates import Number
from mtv_jax.io.video import write_video
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.run import GenerateConfig, check_follows_sound, row_request, sample
from mtv_jax.sharding.mesh import MeshConfig, make_mesh
from mtv_jax.typing import UInt8

MANIFEST = "manifest.jsonl"
_ORIGIN = "origin.json"


@dataclass(frozen=True)
class Drawn:
    """A clip of the test set: its place in the draw, its record, and where its files go."""

    row: int
    record: ClipRecord
    out: Path

    @property
    def video(self) -> Path:
        """What is generated."""
        return self.out / "videos" / f"{self.record.id}.mp4"

    @property
    def reference(self) -> Path:
        """The clip itself."""
        return self.out / "reference" / f"{self.record.id}.mp4"

    def track(self, name: str) -> Path:
        """A track of its sound."""
        return self.out / "tracks" / self.record.id / f"{name}.flac"


def generate_videos(options: GenerateOptions, out: Path) -> Path:
    """Makes what is missing of the videos, and writes the manifest once all are there; returns its path.

    A run that was stopped goes on; several processes make a part each. Raises UserError for shards without media, a
    pipeline that takes no sound, and a folder of videos that were made otherwise.
    """
    media = _media(options)
    pipe = _pipeline(options)
    _begin(out, _origin(pipe, media, options))
    drawn = [unpack(Drawn(row, media.read(number), out)) for row, number in enumerate(draw(media, options))]
    with FolderLock(out / "parts" / options.part.name, "--out"):
        _make(pipe, _batches(drawn, options), options)
    left = sum(1 for clip in drawn if not clip.video.exists())
    if left:
        say(f"{left} of {len(drawn)} videos are left for the other parts")
    else:
        write_manifest(drawn, options.seed)
    return out / MANIFEST


def draw(media: ShardSet, options: GenerateOptions) -> Sequence[int]:
    """The records of `n` clips, drawn at random without repeats, in the order of the shards."""
    if options.n > len(media):
        raise UserError(f"--n {options.n}: {media.directory} has {len(media)} clips; ask for at most as many")
    found = np.random.default_rng(options.seed).choice(len(media), options.n, replace=False)
    return sorted(int(number) for number in found)


def _media(options: GenerateOptions) -> ShardSet:
    folder = options.shards / TEST / MEDIA if options.split == TEST else options.shards / MEDIA
    if not folder.is_dir():
        raise UserError(
            f"{options.shards}: has no media of the split {options.split} ({folder.name} is missing); "
            "python -m mtv_jax.curate pack writes them"
        )
    return open_shards(folder)


def _pipeline(options: GenerateOptions) -> Pipeline:
    mesh = make_mesh(MeshConfig(fsdp=options.fsdp)) if options.fsdp > 1 else None
    pipe = Pipeline.from_pretrained(options.pipeline, dtype=options.dtype, mesh=mesh)
    check_follows_sound(pipe)
    if pipe.untrained:
        say(f"note: random weights, not trained: {', '.join(pipe.untrained)}")
    return pipe


def _config(pipe: Pipeline, options: GenerateOptions) -> GenerateConfig:
    """How to sample: as the pipeline's folder says where the options do not."""
    sampling = pipe.defaults.sampling
    steps = options.steps or sampling.num_inference_steps
    scale = sampling.guidance_scale if options.guidance_scale is None else options.guidance_scale
    return GenerateConfig(SamplerConfig(sampling.sampler, steps, sampling.eta), guidance_scale=scale)


def _origin(pipe: Pipeline, media: ShardSet, options: GenerateOptions) -> dict[str, Any]:
    """Everything that the videos depend on, but for the part that a process makes."""
    config = _config(pipe, options)
    return {
        "pipeline": provenance(pipeline_folder(options.pipeline))["files"],
        "media": [shard["sha256"] for shard in media.manifest["shards"]],
        "n": options.n,
        "seed": options.seed,
        "sampler": config.sampler.name,
        "steps": config.sampler.num_steps,
        "guidance_scale": config.guidance_scale,
        "dtype": options.dtype,
        "batch_size": options.batch_size,
    }


def _begin(out: Path, origin: dict[str, Any]) -> None:
    kept = out / _ORIGIN
    if kept.exists():
        if (before := read_json(kept)) != origin:
            changed = ", ".join(name for name in origin if before.get(name) != origin[name])
            raise UserError(f"{out}: its videos were made otherwise ({changed}); give another --out")
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(kept, origin)


def unpack(clip: Drawn) -> Drawn:
    """Writes the clip itself and its tracks, unless they are there; the clip without their bytes."""
    for path, key in ((clip.reference, MP4), *((clip.track(name), name) for name in TRACKS)):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                temporary.write_bytes(clip.record.arrays[key].tobytes())
    return replace(clip, record=replace(clip.record, arrays={}))


def _batches(drawn: Sequence[Drawn], options: GenerateOptions) -> list[Drawn]:
    """The clips of this part's batches that are not complete, the last one filled up with its last clip.

    Batches are those of all clips, so that a video is the same to the last bit whatever was there before.
    """
    size = min(options.batch_size, len(drawn))
    batches = [list(drawn[start : start + size]) for start in range(0, len(drawn), size)]
    own = batches[options.part.number :: options.part.count]
    todo = [batch for batch in own if not all(clip.video.exists() for clip in batch)]
    return [clip for batch in todo for clip in batch + [batch[-1]] * (size - len(batch))]


def _make(pipe: Pipeline, clips: Sequence[Drawn], options: GenerateOptions) -> None:
    """Makes the videos of batches, and keeps those that are missing."""
    requests = (
        row_request(clip.record.prompt, _sounds(pipe.tracks, clip), options.seed, clip.row) for clip in clips
    )
    size = pipe.defaults.clip
    made = sample(pipe, requests, size, _config(pipe, options), batch_size=options.batch_size)
    for clip, frames in progress(zip(clips, made, strict=True), "generating videos", total=len(clips)):
        if not clip.video.exists():
            write_made(clip, frames, size.fps, pipe.tracks)


def write_made(clip: Drawn, frames: UInt8[np.ndarray, "F H W 3"], fps: Number, tracks: Sequence[str]) -> None:
    """Writes the video of a clip with the sound of the tracks that it was made from."""
    clip.video.parent.mkdir(parents=True, exist_ok=True)
    length, sounds = round(len(frames) * TRACK_RATE / fps), _sounds(tracks, clip)
    mix = np.sum([fit_length(sound, length) for sound in sounds.values()], axis=0) if sounds else None
    sound = None if mix is None else np.clip(mix, -1, 1)
    write_video(clip.video, frames, fps, audio=sound, sample_rate=TRACK_RATE)


def write_manifest(clips: Sequence[Drawn], seed: int) -> None:
    """Writes the manifest of videos of clips of one folder, made with `seed`."""
    write_text(clips[0].out / MANIFEST, "".join(json.dumps(_line(clip, seed)) + "\n" for clip in clips))


def _sounds(tracks: Sequence[str], clip: Drawn) -> dict[str, np.ndarray]:
    return {name: read_audio(clip.track(name), TRACK_RATE) for name in TRACKS if name in tracks}


def _line(clip: Drawn, seed: int) -> dict[str, Any]:
    paths = {"video": clip.video, "reference": clip.reference, **{name: clip.track(name) for name in TRACKS}}
    return {
        "id": clip.record.id,
        "prompt": clip.record.prompt,
        "seed": seed,
        **{key: path.relative_to(clip.out).as_posix() for key, path in paths.items()},
    }
