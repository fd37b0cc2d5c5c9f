"""Features of tracks by other audio encoders, from the tracks that a data set keeps."""

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.audio.features import AudioEncoder, track_features
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.curation.encoders import encoder_identity, stored
from mtv_jax.curation.pack import SOURCES
from mtv_jax.curation.steps.last import clip_tracks
from mtv_jax.data.manifests import ENCODERS, MANIFEST, MEDIA, TEST
from mtv_jax.data.records import ClipRecord
from mtv_jax.data.shards import ShardSet, open_shards, write_shards
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, link_tree
from mtv_jax.io.progress import progress
from mtv_jax.names import TRACKS

AUDIO_ENCODERS = "audio_encoders"
"""In the manifest's `info`: the hashes of the encoder of each track, where it is not that of `encoders/`."""


def parse_encoders(given: Sequence[str]) -> dict[str, Path]:
    """Track -> folder of its encoder, of texts `TRACK=FOLDER`. Raises UserError for anything else."""
    found = {}
    for text in given:
        track, equals, folder = text.partition("=")
        if not equals or track not in TRACKS:
            raise UserError(
                f"--audio-encoder {text!r}: write TRACK=FOLDER, with a track of {', '.join(TRACKS)}"
            )
        found[track] = existing_directory(folder)
    return found


def make_features(shards: Path, out: Path, encoders: Mapping[str, Path]) -> dict[str, Any]:
    """Writes shards as those of a curation, but for the features of the given tracks; their manifest.

    Files that stay as they are are linked. If every track has the same new encoder, it takes the place of the old one
    in `encoders/`; if not, there is no `encoders/`, so that such shards are trained on, and not sampled with.

    Raises UserError for shards without media.
    """
    made = {track: load_audio_encoder(folder) for track, folder in encoders.items()}
    if (shards / TEST / MANIFEST).exists():
        _make_split(shards / TEST, out / TEST, encoders, made)
    return _make_split(shards, out, encoders, made)


def _make_split(
    shards: Path, out: Path, encoders: Mapping[str, Path], made: Mapping[str, AudioEncoder]
) -> dict[str, Any]:
    opened = open_shards(shards)
    if foreign := [track for track in encoders if track not in opened.shapes]:
        raise UserError(
            f"--audio-encoder {foreign[0]}: {shards} has no features of this track (those of Maestro have none)"
        )
    if not (shards / MEDIA / MANIFEST).exists():
        raise UserError(f"{shards}: has no {MEDIA}/, so its features cannot be made anew")
    media = open_shards(shards / MEDIA)
    (out / MANIFEST).unlink(missing_ok=True)
    for name in (MEDIA, ENCODERS):
        shutil.rmtree(out / name, ignore_errors=True)
    link_tree(shards / MEDIA, out / MEDIA)
    if (shards / SOURCES).exists():
        shutil.copy2(shards / SOURCES, out / SOURCES)
    info = dict(opened.manifest["info"])
    whole = set(encoders) == set(TRACKS) and len(set(encoders.values())) == 1
    if whole and (shards / ENCODERS).is_dir():
        (folder,) = set(encoders.values())
        link_tree(shards / ENCODERS, out / ENCODERS)
        shutil.rmtree(out / ENCODERS / "audio_encoder")
        link_tree(folder, out / ENCODERS / "audio_encoder")
        info[ENCODERS] = info[ENCODERS] | encoder_identity({"audio_encoder": folder})
    else:
        info[AUDIO_ENCODERS] = encoder_identity(encoders)
    members = {name: [opened.read(int(i)).id for i in opened.subset(name)] for name in opened.subset_names}
    records = _records(opened, media, made, normalize=info["normalize_loudness"])
    return write_shards(out, records, kind="latents", info=info | {"stamp": None}, subsets=members)


def _records(
    shards: ShardSet, media: ShardSet, encoders: Mapping[str, AudioEncoder], *, normalize: bool
) -> Iterator[ClipRecord]:
    for number in progress(len(shards), "encoding tracks"):
        record, kept = shards.read(number), media.read(number)
        with tempfile.TemporaryDirectory() as folder:
            for track in TRACKS:
                (Path(folder) / f"{track}.flac").write_bytes(kept.arrays[track].tobytes())
            tracks = clip_tracks(Path(folder), normalize_loudness=normalize)
        arrays = dict(record.arrays)
        for track, encoder in encoders.items():
            found = track_features(encoder, {track: tracks[track]}, record.num_frames, Fraction(*record.fps))
            arrays[track] = stored(track, found[track])
        yield dataclasses.replace(record, arrays=arrays)
