"""The synthetic theatre becomes shards, with DEMIX's five subsets, and what is true of its clips beside them.

`<out>/truth.jsonl` has a line for each clip, by its id; no record holds any of it, so training cannot see it.
Some clips have real voices and strikes (`SoundLibrary.training`). Finished clips are kept in `<out>/.work`, so that a
interrupted run resumes.
"""

import dataclasses
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtv_jax.curation.encoders import Encoders
from mtv_jax.curation.synthetic import make_parts, read_parts
from mtv_jax.data.manifests import ENCODERS
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id, decode_record, encode_record
from mtv_jax.data.shards import write_shards
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_text
from mtv_jax.names import SUBSETS
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import (
    EVALUATION_SEEDS,
    SoundLibrary,
    TheatreClip,
    TheatreConfig,
    render_clip,
)
from mtv_jax.theatre.plan import MOST_ACTORS, VERSION, actors_of

TRUTH = "truth.jsonl"
"""Beside the manifest: a line of JSON a clip, for evaluation only."""


@dataclass(frozen=True)
class TheatreBuild:
    """Which clips to make: the first `clips` of the theatre `seed`, as large and long as `size` says.

    `num_speakers` is that of the model which the clips are for: each actor has a track, and there are up to as many
    heads (`theatre.plan.actors_of`). `frames_only` keeps pixels (to train an autoencoder) instead of latents, text and
    sound.
    """

    size: ClipSize
    clips: int
    seed: int = 0
    frames_only: bool = False
    num_speakers: int = 1

    def __post_init__(self):
        self.size.check()
        if self.clips < 1:
            raise UserError(f"clips {self.clips}: must be at least 1")
        if not 0 <= self.seed < EVALUATION_SEEDS:
            raise UserError(f"seed {self.seed}: must be in 0..2**32 - 1; those above are kept for evaluation")
        if not 1 <= self.num_speakers <= MOST_ACTORS:
            raise UserError(
                f"speakers {self.num_speakers}: must be from 1 to {MOST_ACTORS}, who fit on the stage"
            )

    @property
    def num_bytes(self) -> int:
        """An estimate of the size of the shards with `frames_only`: packed, a third of the pixels' bytes."""
        return self.clips * self.size.num_frames * self.size.height * self.size.width

    @property
    def stage(self) -> TheatreConfig:
        """The config of the theatre."""
        size = self.size
        return TheatreConfig(
            height=size.height,
            width=size.width,
            num_frames=size.num_frames,
            fps=size.fps,
            actors=actors_of(self.num_speakers),
            num_speakers=self.num_speakers,
        )


def build_theatre(out: Path, encoders: Encoders | None, config: TheatreBuild) -> dict[str, Any]:
    """Writes shards of the clips, with an index for each subset that has any, and returns the manifest.

    `encoders` may be None with `frames_only`.
    """
    work = out / ".work"
    identity = encoders.identity if encoders is not None else {}
    sounds = SoundLibrary.training()
    theatre = {"version": VERSION, "recordings": sounds.identity}
    what = [dataclasses.asdict(config), {ENCODERS: identity, "theatre": theatre}]

    def finish(index: int) -> dict[str, Any]:
        return _finish(index, encoders, config, sounds)

    parts = make_parts(work, what, config.clips, finish, "rendering theatre")
    truths = [done["truth"] for done in read_parts(parts)]
    write_text(out / TRUTH, "".join(f"{json.dumps(truth)}\n" for truth in truths))
    if encoders is not None and not config.frames_only:
        encoders.save(out / ENCODERS, config.size)  # before the manifest, which says that all is there
    manifest = write_shards(
        out,
        (decode_record(done["record"]) for done in read_parts(parts)),
        kind="frames" if config.frames_only else "latents",
        info={
            ENCODERS: identity,
            "theatre": {**theatre, "seed": config.seed, **config.stage.to_json()},
        },
        subsets=_subsets(truths),
    )
    shutil.rmtree(work)
    return manifest


def _finish(
    index: int, encoders: Encoders | None, config: TheatreBuild, sounds: SoundLibrary
) -> dict[str, Any]:
    """A clip's record, as bytes, and what is true of it."""
    clip = render_clip(config.seed, index, config.stage, sounds)
    record = _record(clip, encoders, config, sounds)
    return {"record": encode_record(record), "truth": {"id": record.id, **clip.truth.to_json()}}


def _record(
    clip: TheatreClip, encoders: Encoders | None, config: TheatreBuild, sounds: SoundLibrary
) -> ClipRecord:
    size, prompt, digest = config.size, theatre_prompt(clip.words), _digest(clip, sounds)
    base = (size.fps.denominator, size.fps.numerator)
    arrays = {"video": clip.frames}
    if encoders is not None and not config.frames_only:
        tracks = {name: clip.tracks[name] for name in config.stage.tracks}
        arrays = encoders.encode(clip.frames, tracks, encoders.text.encode([prompt])[0], size)
    return ClipRecord(
        id=clip_id(digest, 0, size.num_frames, base),
        prompt=prompt,
        fps=(size.fps.numerator, size.fps.denominator),
        num_frames=size.num_frames,
        height=size.height,
        width=size.width,
        source=ClipSource(
            name=f"theatre-{config.seed}-{clip.plan.index}",
            sha256=digest,
            start_pts=0,
            end_pts=size.num_frames,
            time_base=base,
            licence="generated",
        ),
        arrays=arrays,
    )


def _digest(clip: TheatreClip, sounds: SoundLibrary) -> str:
    """SHA-256 of what the clip is made from: its plan and the recordings."""
    return hashlib.sha256(f"{clip.plan.identity} {sounds.identity}".encode()).hexdigest()


def _subsets(truths: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Ids of the clips of each subset that has any."""
    members = {name: [truth["id"] for truth in truths if name in truth["subsets"]] for name in SUBSETS}
    return {name: ids for name, ids in members.items() if ids}
