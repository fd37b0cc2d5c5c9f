"""Kept clips become shards: latents, text and features for training, and the media they were made from.

    OUT/            what training reads: clips-*.array_record, subset-*.npy, manifest.json, encoders/, sources.jsonl
    OUT/media/      each clip's mp4 and its three tracks as FLAC, by the same ids in the same order
    OUT/test/       the same of whole sources that are held out

Packing the same clips again gives the same bytes: ids are sorted, and nothing depends on time or place. Arrays that are
in shards are not kept in `work/` as well (`mtv_jax.curation.arrays`).
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.arrays import (
    forget,
    leave_to_shards,
    only_in_shards,
    read_clip_arrays,
    record_bytes,
    take_back,
)
from mtv_jax.curation.budget import packing_bytes
from mtv_jax.curation.encoders import encoder_folders, encoder_identity, save_encoders
from mtv_jax.curation.ledger import OK
from mtv_jax.curation.release import release_problems
from mtv_jax.curation.session import Session
from mtv_jax.curation.settings import Layout
from mtv_jax.curation.sources import OF_DATA_SETS
from mtv_jax.curation.stages import CLIP
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.data.manifests import ENCODERS, MEDIA, MP4
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import check_hash, open_shards, write_shards
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, read_json, sha256, write_json, write_text
from mtv_jax.io.limits import check_room
from mtv_jax.io.progress import progress
from mtv_jax.names import SUBSETS, TRACKS
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.weights.model_index import read_defaults

SOURCES = "sources.jsonl"
_TEST_CLIPS = 1000
"""Clips that DEMIX holds out (MTV section 3)."""
_MOST_TESTED = 10
"""The test split is at most one in so many clips."""


@dataclass(frozen=True)
class PackConfig:
    """How clips are packed.

    Attributes:
      test_clips: about how many clips are held out; None: as the last time, and at first those of DEMIX, but at most
        a tenth of the clips.
      release: whether the data set is to be given to others, which needs licences that allow it.
    """

    test_clips: int | None = None
    release: bool = False


def pack(session: Session, verdicts: Verdicts, config: PackConfig, *, force: bool = False) -> dict[str, Any]:
    """Writes the shards of the kept clips unless they are there; the manifest of those for training.

    `force` ignores that the disk has too little room.

    Raises:
      UserError: no clip is kept, files of kept clips are missing (`curate run` makes them), the disk has too little
        room, or `release` and something must not be given away.
    """
    clips = sorted(verdicts.kept, key=lambda clip: clip["clip"])
    if not clips:
        raise UserError(f"{session.layout.out}: no clip is kept; `python -m mtv_jax.curate report` shows why")
    if config.release:
        problems = release_problems(session.cards, verdicts)
        if problems:
            raise UserError(f"{session.layout.out}: cannot be released: {'; '.join(problems)}")
    held_out = _held_out(session, verdicts, clips, config)
    out, test = session.layout.out, session.layout.test
    splits = {
        out: [clip for clip in clips if clip["source"] not in held_out],
        test: [clip for clip in clips if clip["source"] in held_out],
    }
    stamps = {folder: _stamp(session, verdicts, split) for folder, split in splits.items() if split}
    media = not session.settings.frames_only
    stale = [folder for folder, stamp in stamps.items() if not _is_packed(folder, stamp, media=media)]
    _prepare(session, verdicts, [clip for folder in stale for clip in splits[folder]], force=force)
    for folder in stale:
        _write_split(session, verdicts, folder, splits[folder], stamps[folder])
    if not splits[test]:
        shutil.rmtree(test, ignore_errors=True)
    leave_to_shards(session.layout, clips)
    return open_shards(out).manifest


def _prepare(
    session: Session, verdicts: Verdicts, clips: Sequence[Mapping[str, Any]], *, force: bool
) -> None:
    """Takes back all arrays that would be lost with the shards in which `clips` are to be replaced.

    Those of clips that no film of the verdicts has are among them: their films could not be read this time. Those of
    rejected clips are not.
    """
    layout = session.layout
    needed = {clip["clip"] for clip in clips}
    rejected = {clip["clip"] for clip in verdicts.clips if not clip["keep"]}
    stay = {clip["clip"] for clip in verdicts.kept} - needed
    packed = only_in_shards(layout)
    back = {clip: folder for clip, folder in packed.items() if clip not in rejected | stay}
    room = packing_bytes(
        layout, clips, record_bytes(layout), len(back), media=not session.settings.frames_only
    )
    check_room(layout.out, room, force=force, remedy="make room; the shards are as they were")
    forget(folder for clip, folder in packed.items() if clip in rejected)
    take_back(layout, back, needed)


def _test_clips(layout: Layout, config: PackConfig) -> int | None:
    """How many clips to hold out: as the last time unless a number is given, so that no clip changes sides unasked."""
    if config.test_clips is None:
        return read_json(layout.packing)["test_clips"] if layout.packing.exists() else None
    write_json(layout.packing, {"test_clips": config.test_clips})
    return config.test_clips


def _held_out(
    session: Session, verdicts: Verdicts, clips: Sequence[Mapping[str, Any]], config: PackConfig
) -> set[str]:
    """The sources that are held out: as they say themselves, or drawn if none says anything.

    Raises UserError if no clip is left for training, and for a number of clips where the sources have said which.
    """
    films = {film["source"]: film for film in verdicts.films}
    if not any("split" in films[clip["source"]] for clip in clips):
        recordings = {name: film["recording"] for name, film in films.items() if "recording" in film}
        return held_out_sources(clips, _test_clips(session.layout, config), recordings)
    if config.test_clips is not None:
        raise UserError(
            f"--test-clips {config.test_clips}: {session.settings.videos} says which sources are held out (split)"
        )
    held_out = {name for name, film in films.items() if film.get("split") == "test"}
    if held_out.issuperset(clip["source"] for clip in clips):
        raise UserError(f"{session.settings.videos}: all kept clips are of sources of the test split")
    return held_out


def held_out_sources(
    clips: Iterable[Mapping[str, Any]], wanted: int | None, recordings: Mapping[str, str] | None = None
) -> set[str]:
    """Sources to hold out: whole ones, drawn by their hashes, until they have about `wanted` clips.

    Sources of one recording (source -> name) stay together. Of each subset, and of all, some clips stay for training.
    Raises UserError if more than half are wanted.
    """
    members: dict[tuple[str, str], Counter[str]] = {}
    sources: dict[tuple[str, str], set[str]] = {}
    for clip in clips:
        whole = (recordings or {}).get(clip["source"])
        drawn = hashlib.sha256(f"test {whole or clip['film']}".encode()).hexdigest()
        place = (drawn, whole or clip["source"])
        members.setdefault(place, Counter()).update(["", *clip["subsets"]])
        sources.setdefault(place, set()).add(clip["source"])
    left: Counter[str] = sum(members.values(), Counter())
    wanted = min(_TEST_CLIPS, left[""] // _MOST_TESTED) if wanted is None else wanted
    if wanted * 2 > left[""]:
        raise UserError(f"--test-clips {wanted}: {left['']} clips are kept; hold out at most half of them")
    chosen: set[str] = set()
    held = 0
    for place, counts in sorted(members.items()):
        nearer = abs(held + counts[""] - wanted) < abs(held - wanted)
        if nearer and all(left[name] > count for name, count in counts.items()):
            chosen |= sources[place]
            held += counts[""]
            left -= counts
    return chosen


def _write_split(
    session: Session, verdicts: Verdicts, out: Path, clips: Sequence[Mapping[str, Any]], stamp: str
) -> None:
    """The shards of some clips, and those of their media.

    Former shards can be opened until the new ones replace them, so `_is_packed` looks at what is written before.
    """
    settings = session.settings
    if not settings.frames_only:
        records = (_media_record(session, clip) for clip in progress(clips, "packing media"))
        write_shards(out / MEDIA, records, kind="media", info={"stamp": stamp})
        text = read_defaults(pipeline_folder(settings.encoders)).text
        save_encoders(encoder_folders(settings.encoders, settings.vae), text, out / ENCODERS, settings.size)
    subsets = {name: [clip["clip"] for clip in clips if name in clip["subsets"]] for name in SUBSETS}
    info = _info(session, verdicts, out, clips) | {"stamp": stamp}
    write_shards(
        out,
        (_record(session, clip) for clip in progress(clips, "packing clips")),
        kind="frames" if settings.frames_only else "latents",
        info=info,
        subsets={name: ids for name, ids in subsets.items() if ids},
    )


def _stamp(session: Session, verdicts: Verdicts, clips: Sequence[Mapping[str, Any]]) -> str:
    """What the shards depend on. Raises UserError if a clip has not been encoded."""
    made_of = [session.settings.to_json(), session.cards, verdicts.films, verdicts.left_out]
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode())
    for clip in clips:
        rows = session.rows(clip)
        if rows.get("encode", {}).get("status") != OK or not session.has_files(clip, rows):
            raise UserError(
                f"{session.layout.out}: clip {clip['clip'][:16]} is kept and not encoded yet; "
                "`python -m mtv_jax.curate run` does that"
            )
        evidence = session.evidence(clip, rows)
        made = [clip, rows["encode"]["key"], evidence["caption"]["prompt"], facts(evidence)]
        digest.update(json.dumps(made, sort_keys=True).encode())
    return digest.hexdigest()


def _is_packed(out: Path, stamp: str, *, media: bool) -> bool:
    """Whether shards, list of sources and media are those of a stamp; media of older versions have none."""
    try:
        info = open_shards(out).manifest["info"]
        if info.get("stamp") != stamp:
            return False
        check_hash(existing_file(out / SOURCES), info["sources"]["sha256"])
        return not media or open_shards(out / MEDIA).manifest["info"].get("stamp", stamp) == stamp
    except (UserError, KeyError):  # missing, damaged, or of another program: packed again
        return False


def _record(session: Session, clip: Mapping[str, Any]) -> ClipRecord:
    return _with_arrays(session, clip, read_clip_arrays(session.layout.clip(clip)))


def _media_record(session: Session, clip: Mapping[str, Any]) -> ClipRecord:
    folder = session.layout.clip(clip)
    files = {MP4: folder / CLIP, **{track: folder / f"{track}.flac" for track in TRACKS}}
    return _with_arrays(
        session, clip, {name: np.frombuffer(path.read_bytes(), np.uint8) for name, path in files.items()}
    )


def _with_arrays(session: Session, clip: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> ClipRecord:
    evidence, size = session.evidence(clip, session.rows(clip)), session.settings.size
    span = evidence["clips"]["span"]
    film = session.film_of(clip)
    return ClipRecord(
        id=clip["clip"],
        prompt=evidence["caption"]["prompt"],
        fps=tuple(span["fps"]),
        num_frames=size.num_frames,
        height=size.height,
        width=size.width,
        source=ClipSource(
            film.source,
            film.sha256,
            span["start_pts"],
            span["end_pts"],
            tuple(span["time_base"]),
            film.about["licence"],
        ),
        arrays=arrays,
        facts=facts(evidence),
    )


def facts(evidence: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a record says of its clip: the scores of the stages."""
    left_out = ("clips", "fingerprint", "duplicates", "mouths", "caption", "encode", "source")
    return {
        stage: {name: value for name, value in found.items() if name not in ("status", "vectors")}
        for stage, found in evidence.items()
        if stage not in left_out and found["status"] == "ok"
    } | {name: value for name, value in evidence["source"].items() if name != "status"}


def _source_line(film: Mapping[str, Any]) -> dict[str, Any]:
    """What `sources.jsonl` says of a film, a row of the verdicts."""
    known = [name for name in OF_DATA_SETS if name in film]
    return {name: film[name] for name in ("source", "film", "kind", "licence", "url", *known)}


def _info(
    session: Session, verdicts: Verdicts, out: Path, clips: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Where the clips are from and what made them."""
    settings = session.settings
    names = {clip["source"] for clip in clips}
    rows = [film for film in verdicts.films if film["source"] in names]
    write_text(out / SOURCES, "".join(json.dumps(_source_line(row)) + "\n" for row in rows))
    licences: dict[str, int] = {}
    for row in rows:
        licences[row["licence"]] = licences.get(row["licence"], 0) + 1
    identity = (
        {} if settings.frames_only else encoder_identity(encoder_folders(settings.encoders, settings.vae))
    )
    return {
        ENCODERS: identity,
        "models": {stage: cards for stage, cards in session.cards.items() if stage != "encode" and cards},
        "separator": settings.separator,
        "normalize_loudness": settings.normalize_loudness,
        "stride": settings.stride,
        "skip": settings.skip,
        "config": settings.config.to_json(),
        "licences": licences,
        "sources": {"name": SOURCES, "count": len(rows), "sha256": sha256(out / SOURCES)},
        "left_out": dict(sorted(verdicts.left_out.items())),
    }
