"""A folder's lock: held by one process, reported to others, taken over from dead ones."""

import json
import os
import subprocess
import sys
import time

import pytest

from mtv_jax.io import lock
from mtv_jax.io.errors import UserError
from mtv_jax.io.lock import LOCK_FILE, FolderLock

HOLDER = """
import sys, time
from mtv_jax.io.lock import FolderLock
with FolderLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lock, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.05)


def owner(folder):
    return json.loads((folder / LOCK_FILE).read_text())


def put(folder, **values):
    """A lock of this process's machine, with other values."""
    with FolderLock(folder):
        saved = owner(folder)
    (folder / LOCK_FILE).write_text(json.dumps(saved | {"token": "other"} | values))


def test_it_is_there_while_it_is_held_and_gone_after_however_that_ends(tmp_path):
    def fail():
        with FolderLock(tmp_path / "new"):
            assert owner(tmp_path / "new")["process"] == os.getpid()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["", "[]", "null", '""', '{"machine": 3}'])
def test_a_lock_that_says_nothing_is_waited_for_and_taken_over(tmp_path, quick, text):
    (tmp_path / LOCK_FILE).write_text(text)
    with FolderLock(tmp_path):
        assert owner(tmp_path)["process"] == os.getpid()


def test_a_folder_that_was_used_or_was_there_stays(tmp_path):
    with FolderLock(tmp_path / "new" / "run"):
        (tmp_path / "new" / "log").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["log"]
    (tmp_path / "old").mkdir()
    with FolderLock(tmp_path / "old"):
        pass
    assert list((tmp_path / "old").iterdir()) == []


def test_a_held_lock_is_reported_and_that_of_a_killed_owner_taken_over(holder, tmp_path, capsys, quick):
    reported = rf"{tmp_path}: in use by process {holder.pid} \(on \S+\) since 20\d\d-\S+ \S+ UTC"
    with pytest.raises(UserError, match=reported), FolderLock(tmp_path):
        pass
    assert owner(tmp_path)["process"] == holder.pid
    holder.kill()
    holder.wait()
    with FolderLock(tmp_path):
        assert owner(tmp_path)["process"] == os.getpid()
    assert "gone" in capsys.readouterr().err
    assert not (tmp_path / LOCK_FILE).exists()


def test_another_process_that_got_the_number_of_a_dead_owner_is_not_the_owner(tmp_path, quick):
    put(tmp_path, process=os.getppid(), start="1")
    with FolderLock(tmp_path):
        assert owner(tmp_path)["process"] == os.getpid()


def test_an_owner_on_another_machine_lives_as_long_as_its_lock_moves(tmp_path, quick, monkeypatch):
    put(tmp_path, host="node-7", machine=["node-7", "", ""])
    path, sleep = tmp_path / LOCK_FILE, lock.time.sleep
    # The owner's beat, whatever else the machine is doing: it comes while this process waits.
    monkeypatch.setattr(lock.time, "sleep", lambda _: os.utime(path, ns=(0, path.stat().st_mtime_ns + 1)))
    with pytest.raises(UserError, match=r"in use by process \d+ \(on node-7\)"), FolderLock(tmp_path):
        pass
    monkeypatch.setattr(lock.time, "sleep", sleep)
    with FolderLock(tmp_path):
        assert owner(tmp_path)["process"] == os.getpid()


def test_an_owner_moves_the_time_of_its_lock(tmp_path, quick):
    with FolderLock(tmp_path):
        os.utime(tmp_path / LOCK_FILE, (1, 1))
        end = time.monotonic() + 60
        while (tmp_path / LOCK_FILE).stat().st_mtime == 1 and time.monotonic() < end:
            time.sleep(0.01)
        assert (tmp_path / LOCK_FILE).stat().st_mtime > 1


def test_of_two_that_take_over_at_once_the_last_to_write_has_it(tmp_path, quick, monkeypatch):
    put(tmp_path, start="1")
    rival = owner(tmp_path) | {"process": 17, "host": "node-7", "token": "rival"}
    monkeypatch.setattr(lock.time, "sleep", lambda _: (tmp_path / LOCK_FILE).write_text(json.dumps(rival)))
    with pytest.raises(UserError, match=r"in use by process 17 \(on node-7\)"), FolderLock(tmp_path):
        pass
    assert owner(tmp_path)["token"] == "rival"


def test_an_owner_whose_lock_was_taken_over_ends_before_it_writes_any_more(tmp_path, quick, monkeypatch):
    ended = []
    with FolderLock(tmp_path) as held:
        monkeypatch.setattr(lock.os, "_exit", lambda code: (ended.append(code), held._released.set()))
        (tmp_path / LOCK_FILE).write_text(json.dumps(owner(tmp_path) | {"token": "other"}))
        held._beat.join(60)
    assert ended == [2]
    assert (tmp_path / LOCK_FILE).exists()


def test_a_lock_cut_short_is_taken_over(tmp_path, quick):
    (tmp_path / LOCK_FILE).write_text('{"process": 1')
    with FolderLock(tmp_path):
        assert owner(tmp_path)["process"] == os.getpid()
