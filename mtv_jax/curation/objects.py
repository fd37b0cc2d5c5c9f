"""The world of sounding objects becomes shards, and what is true of its clips is kept beside them.

`<out>/truth.jsonl` has a line for each clip, by its id. Finished clips are kept in `<out>/.work`, so that a run
that was interrupted resumes.
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mtv_jax.audio.tracks import MIX
from mtv_jax.curation.encoders import Encoders, MaestroEncoders, PictureEncoders
from mtv_jax.curation.synthetic import make_parts, read_parts
from mtv_jax.data.manifests import ENCODERS
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id, decode_record, encode_record
from mtv_jax.data.shards import write_shards
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_text
from mtv_jax.theatre import EVALUATION_SEEDS
from mtv_jax.theatre.objects import ObjectClip, ObjectsConfig, plan_objects, render_objects
from mtv_jax.theatre.objects.plan import VERSION

TRUTH = "truth.jsonl"
"""Beside the manifest: a line of JSON a clip, for evaluation only."""

Content = Literal["clips", "pictures", "sources"]
CONTENTS: tuple[Content, ...] = get_args(Content)


@dataclass(frozen=True)
class ObjectsBuild:
    """Which clips to make: the first `clips` of the world `seed`.

    `content` is `clips`, `pictures` of one frame, or `sources`: clips of one sound each, for the Condition Injection
    Module. `frames_only` keeps pixels (to train an autoencoder) instead of latents and text. `unnamed` is the chance
    that a prompt leaves a source out.
    """

    content: Content
    clips: int
    seed: int = 0
    frames_only: bool = False
    unnamed: float = 0.0

    def __post_init__(self):
        if self.content not in CONTENTS:
            raise UserError(f"content {self.content!r}: must be one of {', '.join(CONTENTS)}")
        if self.clips < 1:
            raise UserError(f"clips {self.clips}: must be at least 1")
        if not 0 <= self.seed < EVALUATION_SEEDS:
            raise UserError(f"seed {self.seed}: must be in 0..2**32 - 1; those above are kept for evaluation")
        if self.frames_only and self.content == "sources":
            raise UserError(
                "content 'sources' with pixels only: their sound would be lost; give encoders instead"
            )

    @property
    def world(self) -> ObjectsConfig:
        """The config of the world."""
        return dataclasses.replace(_WORLDS[self.content](), unnamed=self.unnamed)

    @property
    def size(self) -> ClipSize:
        """Of the clips."""
        world = self.world
        return ClipSize(world.num_frames, world.fps, world.height, world.width)

    @property
    def num_bytes(self) -> int:
        """An estimate of the size of the shards with `frames_only`: packed, a third of the pixels' bytes."""
        return self.clips * self.size.num_frames * self.size.height * self.size.width


_WORLDS = {
    "clips": ObjectsConfig,
    "pictures": ObjectsConfig.pictures,
    "sources": ObjectsConfig.single_sources,
}


def load_encoders(config: ObjectsBuild, encoders: str, vae: str | None) -> Encoders:
    """Those of the pipeline folder `encoders` that the clips of `config` need; the autoencoder of `vae` if given.

    Raises UserError for a folder that lacks one.
    """
    if config.content != "sources":
        return PictureEncoders.from_pretrained(encoders, vae)
    found = Encoders.from_pretrained(encoders, vae)
    if not isinstance(found, MaestroEncoders):
        raise UserError(f"{encoders}: content 'sources' needs the encoders of a Maestro, with imagebind/")
    return found


def build_objects(out: Path, encoders: Encoders | None, config: ObjectsBuild) -> dict[str, Any]:
    """Writes shards of the clips and returns the manifest. `encoders` may be None with `frames_only`."""
    work = out / ".work"
    identity = encoders.identity if encoders is not None else {}
    world = {"version": VERSION, "seed": config.seed, **config.world.to_json()}

    def finish(index: int) -> dict[str, Any]:
        clip = render_objects(plan_objects(config.seed, index, config.world))
        record = _record(clip, encoders, config)
        return {"record": encode_record(record), "truth": {"id": record.id, **truth_of(clip)}}

    what = [dataclasses.asdict(config), identity, world]
    parts = make_parts(work, what, config.clips, finish, "rendering sounding objects")
    write_text(out / TRUTH, "".join(f"{json.dumps(done['truth'])}\n" for done in read_parts(parts)))
    if encoders is not None:
        encoders.save(out / ENCODERS, config.size)  # before the manifest, which says that all is there
    manifest = write_shards(
        out,
        (decode_record(done["record"]) for done in read_parts(parts)),
        kind="frames" if encoders is None else "latents",
        info={ENCODERS: identity, "objects": world},
    )
    shutil.rmtree(work)
    return manifest


def truth_of(clip: ObjectClip) -> dict[str, Any]:
    """What is true of a clip, as JSON values: boxes in shares of the frame, activity in each frame."""
    named = {"boxes": clip.boxes, "places": clip.places, "activity": clip.activity}
    rounded = {
        key: {name: np.round(value, 4).tolist() for name, value in values.items()}
        for key, values in named.items()
    }
    return {"seed": clip.plan.seed, "index": clip.plan.index, "background": clip.plan.background, **rounded}


def _record(clip: ObjectClip, encoders: Encoders | None, config: ObjectsBuild) -> ClipRecord:
    size, plan = config.size, clip.plan
    base = (size.fps.denominator, size.fps.numerator)
    arrays = {"video": clip.frames}
    if encoders is not None:
        tracks = {MIX: clip.mix} if encoders.hears_mix else {}
        arrays = encoders.encode(clip.frames, tracks, encoders.text.encode([clip.prompt])[0], size)
    return ClipRecord(
        id=clip_id(plan.identity, 0, size.num_frames, base),
        prompt=clip.prompt,
        fps=(size.fps.numerator, size.fps.denominator),
        num_frames=size.num_frames,
        height=size.height,
        width=size.width,
        source=ClipSource(
            name=f"objects-{plan.seed}-{plan.index}",
            sha256=plan.identity,
            start_pts=0,
            end_pts=size.num_frames,
            time_base=base,
            licence="generated",
        ),
        arrays=arrays,
    )
