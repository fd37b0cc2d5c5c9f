"""Shards are read and checked once, and again only if they change."""

import json
import os

import pytest

from mtv_jax.data import verify as module
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import write_shards
from mtv_jax.data.verify import verify_shards
from mtv_jax.io.errors import UserError

SECOND = "clips-00001-of-00003.array_record"


@pytest.fixture
def folder(tmp_path):
    """Three shards of four, four and two clips."""
    source = ClipSource("a.mp4", "00", 0, 5, (1, 24))
    clips = [ClipRecord(f"clip{i}", "", (24, 1), 5, 16, 16, source, {}) for i in range(10)]
    write_shards(tmp_path, clips, kind="latents", records_per_shard=4)
    return tmp_path


@pytest.fixture
def read(monkeypatch):
    """Names of the shards that were read."""
    names, check_hash = [], module.check_hash

    def check(path, digest):
        names.append(path.name)
        check_hash(path, digest)

    monkeypatch.setattr(module, "check_hash", check)
    return names


def alter(path):
    """Another byte in the middle; the size stays."""
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def test_what_was_found_whole_is_not_read_again_unless_asked(folder, read):
    found = verify_shards(folder)
    assert (len(found.shards), found.read, len(read)) == (10, 3, 3)
    assert verify_shards(folder).read == 0
    assert len(read) == 3
    assert verify_shards(folder, again=True).read == 3
    assert len(read) == 6


def test_a_shard_that_changed_is_read_again_and_named(folder, read):
    verify_shards(folder)
    alter(folder / SECOND)
    with pytest.raises(UserError, match=f"{SECOND}: altered or damaged: its SHA-256"):
        verify_shards(folder)
    assert read[3:] == [SECOND]


def test_a_shard_of_the_same_bytes_with_another_time_or_hash_is_read_again(folder, read):
    verify_shards(folder)
    os.utime(folder / SECOND, ns=(0, 0))
    assert verify_shards(folder).read == 1
    fields = json.loads((folder / "manifest.json").read_text())
    fields["shards"][1]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(fields))
    with pytest.raises(UserError, match=SECOND):
        verify_shards(folder)


def test_a_verification_that_was_stopped_goes_on_behind_what_it_read(folder, read, monkeypatch, capsys):
    decode = module.decode_record

    def stop(data):
        if len(read) == 2:
            raise KeyboardInterrupt
        return decode(data)

    monkeypatch.setattr(module, "decode_record", stop)
    with pytest.raises(KeyboardInterrupt):
        verify_shards(folder)
    monkeypatch.setattr(module, "decode_record", decode)
    assert verify_shards(folder).read == 2
    assert read == ["clips-00000-of-00003.array_record", SECOND, SECOND, "clips-00002-of-00003.array_record"]
    assert "verifying shards: 2 done" in capsys.readouterr().err


def test_what_was_read_is_written_now_and_then_not_at_the_end_alone(folder, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_WRITES", -1.0)
    written, write_json = [], module.write_json
    monkeypatch.setattr(module, "write_json", lambda p, v: written.append(len(v)) or write_json(p, v))
    verify_shards(folder)
    assert written == [1, 2, 3]


def test_another_number_of_records_is_reported(folder):
    fields = json.loads((folder / "manifest.json").read_text())
    fields["shards"][1]["count"], fields["shards"][2]["count"] = 5, 1
    (folder / "manifest.json").write_text(json.dumps(fields))
    with pytest.raises(UserError, match=f"{SECOND}: the manifest says 5 records, it has 4"):
        verify_shards(folder)


def test_shards_written_again_are_not_taken_for_those_that_were_read(folder):
    verify_shards(folder)
    source = ClipSource("a.mp4", "00", 0, 5, (1, 24))
    write_shards(folder, [ClipRecord("clip", "", (24, 1), 5, 16, 16, source, {})], kind="latents")
    assert not (folder / "verified.json").exists()
    assert verify_shards(folder).read == 1


def test_memory_that_is_damaged_or_cannot_be_written_costs_only_time(folder, monkeypatch, capsys):
    (folder / "verified.json").write_text("{")
    assert verify_shards(folder).read == 3

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "write_json", refuse)
    assert verify_shards(folder, again=True).read == 3
    assert "verified.json: verification cannot be recorded (Permission denied)" in capsys.readouterr().err
