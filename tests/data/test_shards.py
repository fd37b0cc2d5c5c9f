import json
import pickle
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.data import shards as module
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError


def make_record(number, *, tokens=3, arrays=None, **changes):
    values = np.full((2, 2), number, np.float32)
    fields = {
        "id": f"clip{number:04d}",
        "prompt": f"prompt {number}",
        "fps": (24, 1),
        "num_frames": 5,
        "height": 16,
        "width": 16,
        "source": ClipSource("a.mp4", "00", number, number + 5, (1, 24)),
        "arrays": {"latents_mean": values, "text": np.full((tokens, 2), number, np.float32)},
    }
    return ClipRecord(**{**fields, **({"arrays": arrays} if arrays else {}), **changes})


def write(directory, count=10, **options):
    options = {"kind": "latents", "records_per_shard": 4, **options}
    return write_shards(directory, (make_record(i, tokens=2 + i % 2) for i in range(count)), **options)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_shards_hold_the_records_in_their_order(tmp_path):
    write(tmp_path)
    shards = open_shards(tmp_path)
    assert len(shards) == 10
    assert [shards.read(i).prompt for i in range(10)] == [f"prompt {i}" for i in range(10)]
    assert names(tmp_path) == [
        "clips-00000-of-00003.array_record",
        "clips-00001-of-00003.array_record",
        "clips-00002-of-00003.array_record",
        "manifest.json",
    ]


def test_the_manifest_says_what_is_inside(tmp_path):
    written = write(tmp_path, info={"vae": "tiny"})
    manifest = open_shards(tmp_path).manifest
    assert manifest == written
    assert manifest["kind"] == "latents"
    assert manifest["info"] == {"vae": "tiny"}
    assert (manifest["fps"], manifest["num_frames"], manifest["height"], manifest["width"]) == (
        [24, 1],
        5,
        16,
        16,
    )
    assert manifest["arrays"]["latents_mean"] == {"shape": [2, 2], "dtype": "float32"}
    assert manifest["arrays"]["text"] == {"shape": [None, 2], "dtype": "float32"}
    assert [shard["count"] for shard in manifest["shards"]] == [4, 4, 2]


@pytest.mark.parametrize(
    ("rates", "reported", "size"),
    [
        ([(25, 1), (25, 1)], [25, 1], ClipSize(5, Fraction(25), 16, 16)),
        ([(25, 1), (24, 1)], None, ClipSize(5, Fraction(24), 16, 16, native_rate=True)),
        ([(30000, 1001), (60, 1)], None, ClipSize(5, Fraction(24), 16, 16, native_rate=True)),
    ],
)
def test_clips_may_have_rates_of_their_own(tmp_path, rates, reported, size):
    write_shards(tmp_path, [make_record(i, fps=rate) for i, rate in enumerate(rates)], kind="latents")
    shards = open_shards(tmp_path)
    assert shards.manifest["fps"] == reported
    assert shards.clip_size == size
    assert [shards.read(i).fps for i in range(2)] == rates


def test_the_same_records_give_the_same_files(tmp_path):
    assert write(tmp_path / "a") == write(tmp_path / "b")


def test_a_shard_ends_when_it_is_large_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 1)
    manifest = write(tmp_path, records_per_shard=None)
    assert [shard["count"] for shard in manifest["shards"]] == [1] * 10


def test_writing_again_replaces_what_was_there(tmp_path):
    write(tmp_path, subsets={"old": ["clip0001"]})
    write(tmp_path, count=3)
    assert names(tmp_path) == ["clips-00000-of-00001.array_record", "manifest.json"]
    assert len(open_shards(tmp_path)) == 3


def test_an_opened_folder_can_be_sent_to_another_process(tmp_path):
    write(tmp_path)
    shards = open_shards(tmp_path)
    shards.read(0)
    assert pickle.loads(pickle.dumps(shards)).read(9).prompt == "prompt 9"


def tamper(directory, kind):
    shard = directory / "clips-00001-of-00003.array_record"
    data = shard.read_bytes()
    manifest = directory / "manifest.json"
    fields = json.loads(manifest.read_text())
    if kind == "missing":
        shard.unlink()
    elif kind == "truncated":
        shard.write_bytes(data[:-7])
    elif kind == "killed writer":
        shard.write_bytes(b"")
    elif kind == "longer":
        shard.write_bytes(data + b"x")
    elif kind == "total":
        fields["num_records"] = 12
        manifest.write_text(json.dumps(fields))
    elif kind == "schema":
        manifest.write_text(json.dumps({**fields, "schema": 0}))
    elif kind == "no manifest":
        manifest.unlink()
    elif kind == "broken manifest":
        manifest.write_text(manifest.read_text()[:-20])
    elif kind == "no hash":
        path = directory / "manifest.json"
        path.write_text(path.read_text().replace('"sha256"', '"sha"'))
    elif kind == "subset":
        path = directory / "subset-odd.npy"
        path.write_bytes(path.read_bytes()[:-4])
    elif kind == "another subset":
        np.save(directory / "subset-odd.npy", np.array([1, 5]))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"clips-00001-of-00003.array_record: no such file"),
        (
            "truncated",
            r"clips-00001-of-00003.array_record: truncated: the manifest says \d+ bytes, it has \d+",
        ),
        ("killed writer", r"clips-00001-of-00003.array_record: truncated: .* it has 0"),
        ("longer", r"clips-00001-of-00003.array_record: altered: the manifest says"),
        ("total", r"manifest.json: says 12 records, its shards have 10"),
        ("schema", r"manifest.json: schema version 0, this program reads 1"),
        ("no manifest", r"no manifest.json in it"),
        ("broken manifest", r"manifest.json: not valid JSON"),
        ("no hash", r"manifest.json: damaged manifest .*sha256"),
        ("subset", r"subset-odd.npy: truncated"),
        ("another subset", r"subset-odd.npy: altered or damaged: its SHA-256"),
    ],
)
def test_a_bad_folder_is_refused_naming_file_and_reason(tmp_path, kind, message):
    write(tmp_path, subsets={"odd": ["clip0001", "clip0003"]})
    tamper(tmp_path, kind)
    with pytest.raises(UserError, match=message) as error:
        open_shards(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_opening_reads_no_byte_of_a_shard(tmp_path, monkeypatch):
    write(tmp_path, subsets={"odd": ["clip0001"]})
    hashed, sha256 = [], module.sha256
    monkeypatch.setattr(module, "sha256", lambda path: hashed.append(path.name) or sha256(path))
    for shard in tmp_path.glob("*.array_record"):
        shard.write_bytes(bytes(shard.stat().st_size))
    assert len(open_shards(tmp_path)) == 10
    assert hashed == ["subset-odd.npy"]


def test_a_build_that_fails_leaves_the_former_shards(tmp_path):
    write(tmp_path)
    before = names(tmp_path)

    def failing():
        yield make_record(0)
        raise RuntimeError("decoder died")

    with pytest.raises(RuntimeError, match="decoder died"):
        write_shards(tmp_path, failing(), kind="latents")
    assert names(tmp_path) == before
    assert len(open_shards(tmp_path)) == 10


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no clips"),
        ([make_record(0), make_record(0)], "given twice"),
        ([make_record(0), make_record(1, height=32)], "height is 32"),
        (
            [make_record(0), make_record(1, arrays={"text": np.zeros((1, 2), np.float32)})],
            "latents_mean is None",
        ),
        (
            [make_record(0, arrays={"text": np.zeros((1, 2))}), make_record(1, arrays={"text": np.zeros(2)})],
            r"text has the shape \[2\]",
        ),
    ],
)
def test_clips_that_do_not_fit_together_are_refused(tmp_path, records, message):
    with pytest.raises(UserError, match=message):
        write_shards(tmp_path / "out", records, kind="latents")
    assert not list((tmp_path / "out").iterdir())


def test_a_subset_is_an_array_of_record_numbers(tmp_path):
    write(tmp_path, subsets={"odd": ["clip0003", "clip0001"], "all": [f"clip{i:04d}" for i in range(10)]})
    shards = open_shards(tmp_path)
    assert shards.subset_names == ("all", "odd")
    assert shards.subset("odd").tolist() == [1, 3]
    with pytest.raises(UserError, match=r"'even': not in .*; its subsets: all, odd"):
        shards.subset("even")


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        ({"none": []}, "'none' is empty"),
        ({"x": ["clip9999"]}, "clip9999"),
        ({"../x": ["clip0001"]}, "a name is"),
    ],
)
def test_a_subset_that_means_nothing_is_refused(tmp_path, subsets, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path, subsets=subsets)
