"""Manifests that no build wrote: refused by `curate verify` and by training's loader, naming the field."""

import json
import re

import numpy as np
import pytest

from mtv_jax import curate
from mtv_jax.data.pipeline import DataConfig, make_dataset
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.data.verify import verify_shards
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256

SOURCE = ClipSource("a.mp4", "00", 0, 5, (1, 24))


def record(name: str, **changes) -> ClipRecord:
    fields = {"fps": (24, 1), "num_frames": 5, "height": 16, "width": 16}
    arrays = {"latents_mean": np.ones((2, 3), np.float16)}
    return ClipRecord(name, "a prompt", source=SOURCE, arrays=arrays, **(fields | changes))


@pytest.fixture
def folder(tmp_path):
    """Two shards of two records, and a subset."""
    clips = [record(name) for name in "abcd"]
    write_shards(tmp_path, clips, kind="latents", records_per_shard=2, subsets={"odd": ["b", "d"]})
    return tmp_path


def change(folder, at: str, value) -> None:
    """Sets the field at a dotted path (numbers are indices) of the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    *parents, last = [int(part) if part.isdigit() else part for part in at.split(".")]
    section = manifest
    for parent in parents:
        section = section[parent]
    section[last] = value
    path.write_text(json.dumps(manifest))


NAMES = [
    "x" * 300 + ".array_record",
    "../clips-00000-of-00002.array_record",
    "/etc/passwd",
    "a\\b.array_record",
    "",
    ".",
    "x\0y",
    5,
    None,
]
CASES = [
    *((f"shards.0.{'name'}", name) for name in NAMES),
    *(("subsets.0.name", name) for name in (*NAMES, "clips-00000-of-00002.array_record", "manifest.json")),
    ("shards.0.name", "subset-odd.npy"),
    ("shards.0.name", "clips-00001-of-00002.array_record"),
    ("shards", []),
    ("shards", {}),
    ("shards", ["clips-00000-of-00002.array_record"]),
    ("shards.0.count", -1),
    ("shards.0.count", 2.0),
    ("shards.0.bytes", "9"),
    ("shards.0.sha256", "0"),
    ("subsets", None),
    ("subsets.0.subset", "../odd"),
    ("subsets.0.count", 9),
    ("subsets.0.count", 1),
    ("kind", "movies"),
    ("kind", "frames"),
    ("kind", None),
    ("num_records", -1),
    ("num_records", 0),
    ("num_records", 5),
    ("num_records", True),
    ("num_records", "4"),
    ("num_frames", 0),
    ("height", -16),
    ("width", 1.5),
    ("fps", [24, 0]),
    ("fps", 24),
    ("fps", [24]),
    ("arrays", []),
    ("arrays.latents_mean", []),
    ("arrays.latents_mean.shape", [-1, 3]),
    ("arrays.latents_mean.dtype", "object"),
    ("info", []),
    ("schema", 2),
    ("schema", True),
]


@pytest.mark.parametrize(("at", "value"), CASES, ids=str)
def test_a_manifest_that_no_build_wrote_is_refused(folder, at, value):
    """Found by attack: `../x`, no shards, an unknown kind and `num_records: -1` were "all whole", exit 0."""
    change(folder, at, value)
    with pytest.raises(UserError, match=rf"(manifest\.json|subset-odd\.npy): .*{at.split('.')[0]}|records"):
        open_shards(folder)
    with pytest.raises(UserError):
        curate.main(["verify", str(folder)])


@pytest.mark.parametrize("field", ["kind", "num_records", "shards", "subsets", "arrays", "fps", "info"])
def test_a_field_that_is_missing_is_named(folder, field):
    """Found by attack: a sibling."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest[field]
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=rf"manifest\.json: damaged manifest .*{field}"):
        open_shards(folder)


@pytest.mark.parametrize(
    "content",
    [
        np.array([1.0, 3.0]),
        np.array([1, 3], np.int32),
        np.array([[1, 3]]),
        np.array([1, 1]),
        np.array([3, 1]),
        np.array([1, 4]),
        np.array([-1, 3]),
        np.array([1]),
        np.array([1, "3"], object),
        b"[1, 3]",
        b"",
    ],
    ids=str,
)
def test_a_subset_of_another_type_is_refused(folder, content):
    """Found by attack: subset files of other types were "all whole"."""
    path = folder / "subset-odd.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    change(folder, "subsets.0.bytes", path.stat().st_size)
    change(folder, "subsets.0.sha256", sha256(path))
    with pytest.raises(UserError, match=r"subset-odd\.npy: "):
        verify_shards(folder)


@pytest.mark.parametrize(
    ("at", "value", "reported"),
    [
        ("num_frames", 9, "num_frames 5, the manifest says 9"),
        ("fps", [12, 1], r"fps \[24, 1\], the manifest says \[12, 1\]"),
        ("arrays.latents_mean.shape", [2, 4], r"latents_mean is float16 \[2, 3\]"),
        ("arrays.latents_mean.dtype", "float32", "latents_mean is float16"),
        ("arrays.more", {"shape": [], "dtype": "int8"}, "arrays"),
    ],
)
def test_records_are_what_the_manifest_says(folder, at, value, reported):
    """Found by attack: a sibling; the shards were whole, and of other clips."""
    change(folder, at, value)
    with pytest.raises(UserError, match=rf"clips-00000-of-00002\.array_record: record 0: .*{reported}"):
        verify_shards(folder)
    with pytest.raises(UserError, match=rf"record 0: .*{reported}"):
        open_shards(folder).read(0)


def test_a_shard_listed_twice_under_two_names_is_reported(folder):
    """Found by attack: duplicates."""
    first, second = (folder / f"clips-0000{i}-of-00002.array_record" for i in (0, 1))
    second.write_bytes(first.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    change(folder, "shards.1", manifest["shards"][0] | {"name": second.name})
    with pytest.raises(UserError, match="clip a is also in clips-00000-of-00002.array_record"):
        verify_shards(folder)


def test_training_counts_the_records_that_are_there(folder):
    """Found by attack: counts that add up in the manifest, and not in the shards."""
    for at, value in (("shards.0.count", 3), ("num_records", 5)):
        change(folder, at, value)
    dataset = make_dataset(open_shards(folder), DataConfig(batch_size=1, prefetch_batches=0))
    with pytest.raises(UserError, match=re.escape("its shards hold 4 records, manifest.json says 5")):
        next(iter(dataset))
