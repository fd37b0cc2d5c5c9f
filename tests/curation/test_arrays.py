"""Arrays that are in the shards only outlive damage, other thresholds, disks that are away and full disks."""

import dataclasses
import shutil
from collections import namedtuple

import numpy as np
import pytest
from curation.films import FRAMES, run, write_film

from mtv_jax import curate
from mtv_jax.curation import pack as packing
from mtv_jax.curation.arrays import only_in_shards
from mtv_jax.curation.pack import PackConfig, pack
from mtv_jax.curation.session import Session
from mtv_jax.curation.settings import Layout
from mtv_jax.curation.steps import last
from mtv_jax.data.shards import open_shards
from mtv_jax.io.errors import UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three films of a clip each, and their shards: two clips for training, one held out."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "films").mkdir()
    for shade, name in ((90, "a"), (40, "b"), (200, "c")):
        write_film(folder / "films" / f"{name}.mp4", 5, shade=shade)
    run(folder / "films", folder / "out", *FRAMES)
    curate.main(["pack", str(folder / "out"), "--test-clips", "1"])
    return folder


@pytest.fixture
def out(made, tmp_path):
    return shutil.copytree(made / "out", tmp_path / "out")


@pytest.fixture
def encoded(monkeypatch):
    """Counts clips that are encoded."""
    count, original = [], last.resize_crop

    def counted(*args):
        count.append(1)
        return original(*args)

    monkeypatch.setattr(last, "resize_crop", counted)
    return count


def videos(out):
    """Those of clips for training and of those that are held out, by the names of their films."""
    opened = [open_shards(folder) for folder in (out, out / "test") if folder.exists()]
    records = [shards.read(number) for shards in opened for number in range(len(shards))]
    return {record.source.name: record.arrays["video"] for record in records}


def contents(out):
    """Of shards, manifests, and the arrays in work."""
    names = ("*.array_record", "manifest.json", "arrays.msgpack")
    return {path: path.read_bytes() for name in names for path in out.rglob(name)}


def assert_whole(made, out):
    """All three clips are in the shards, with their arrays, and in no other file."""
    assert only_in_shards(Layout(out)).keys() == only_in_shards(Layout(made / "out")).keys()
    expected, found = videos(made / "out"), videos(out)
    assert found.keys() == expected.keys()
    for name, video in expected.items():
        np.testing.assert_array_equal(found[name], video)


def test_clips_of_a_film_that_cannot_be_listed_keep_their_files_and_arrays(made, out, tmp_path, encoded):
    films = shutil.copytree(made / "films", tmp_path / "films")
    run(films, out, *FRAMES, "--overwrite")
    del encoded[:]
    (films / "a.json").write_text("{")
    run(films, out, *FRAMES)
    assert len(videos(out)) == 2
    assert len(list(Layout(out).work.rglob("clip.mp4"))) == 3
    shutil.copy(made / "films" / "a.json", films)
    run(films, out, *FRAMES)
    assert not encoded
    assert_whole(made, out)


def test_of_damaged_shards_only_what_cannot_be_read_is_encoded_again(made, out, encoded):
    (shard,) = out.glob("*.array_record")
    data = bytearray(shard.read_bytes())
    start = data.index(b"\x28\xb5\x2f\xfd")  # of zstd: the first record
    data[start + 20 : start + 40] = bytes(20)
    shard.write_bytes(data)
    with pytest.raises(UserError, match="the arrays of 1 clips are gone or damaged"):
        curate.main(["pack", str(out), "--test-clips", "0"])
    run(made / "films", out, *FRAMES)
    assert len(encoded) == 1
    assert_whole(made, out)


@pytest.mark.parametrize(
    ("lost", "clips"), [("manifest.json", 2), ("*.array_record", 2), ("test/*.array_record", 1)]
)
def test_if_some_shards_are_gone_the_clips_of_the_others_are_not_encoded_again(
    made, out, encoded, lost, clips
):
    for path in out.glob(lost):
        path.unlink()
    run(made / "films", out, *FRAMES)
    assert len(encoded) == clips
    assert_whole(made, out)


def test_a_clip_that_was_packed_then_rejected_then_kept_is_encoded_again(made, out, encoded):
    session = Session.open(Layout(out))
    verdicts = session.verdicts()
    first, *others = verdicts.clips
    stricter = dataclasses.replace(verdicts, clips=[{**first, "keep": False}, *others])
    pack(session, stricter, PackConfig())
    assert first["clip"] not in only_in_shards(Layout(out))
    run(made / "films", out, *FRAMES)
    assert len(encoded) == 1
    assert_whole(made, out)


def test_a_clip_of_which_only_an_empty_file_is_left_is_encoded_again(made, out, encoded):
    """As packing with other thresholds used to leave it."""
    shutil.rmtree(out / "test")
    run(made / "films", out, *FRAMES)
    assert len(encoded) == 1
    assert_whole(made, out)


def test_without_room_for_old_and_new_shards_nothing_is_touched(out, monkeypatch):
    arrays = sum(path.stat().st_size for path in out.rglob("*.array_record"))
    before = contents(out)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2 * arrays - 10))
    with pytest.raises(UserError, match="make room; the shards are as they were"):
        curate.main(["pack", str(out), "--test-clips", "0"])
    assert contents(out) == before
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2 * arrays + 10))
    curate.main(["pack", str(out), "--test-clips", "0"])
    assert len(open_shards(out)) == 3
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0))
    curate.main(["pack", str(out), "--test-clips", "0"])  # nothing to do


def test_former_shards_can_be_opened_if_the_new_ones_cannot_be_written(made, out, monkeypatch):
    record = packing._record

    def fails(session, clip):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "_record", fails)
    with pytest.raises(UserError, match="No space left"):
        curate.main(["pack", str(out), "--test-clips", "0"])
    assert (len(open_shards(out)), len(open_shards(out / "test"))) == (2, 1)
    monkeypatch.setattr(packing, "_record", record)
    curate.main(["pack", str(out), "--test-clips", "0"])
    assert_whole(made, out)


@pytest.mark.parametrize("spoil", ["sources", "stamp"])
def test_what_was_written_before_the_shards_failed_is_not_taken_for_theirs(out, spoil):
    stamp = open_shards(out).manifest["info"]["stamp"]
    assert packing._is_packed(out, stamp, media=False)
    assert not packing._is_packed(out, stamp, media=True)
    if spoil == "sources":
        (out / "sources.jsonl").write_text("{}\n")
    else:
        stamp = "another"
    assert not packing._is_packed(out, stamp, media=False)
