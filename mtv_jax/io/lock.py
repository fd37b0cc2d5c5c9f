"""A lock on a folder, so that one command at a time works in it; the lock of a dead process is taken over.

The lock is a file, `lock.json`, that names its owner. Kernel locks (`flock`, `lockf`) are not used: mounted buckets do
not support them, or only within one machine. Instead, an owner on this machine is looked up by its process id and
start time, and an owner on another machine counts as alive while it updates the file's modification time, every few
seconds.
"""

import contextlib
import datetime
import json
import os
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json

LOCK_FILE = "lock.json"

BEAT_SECONDS = 15.0
"""Seconds between the owner's updates of the modification time."""

SILENCE_SECONDS = 90.0
"""Seconds without an update after which an owner on another machine counts as dead. Longer than the minute for which a
mounted bucket may return stale metadata."""

_SETTLE_SECONDS = 0.3


class FolderLock:
    """A context manager that holds the lock of `folder`.

    A missing folder is created, and removed again if it stays empty. `flag` is the command-line flag that names the
    folder, for messages.

    Raises UserError if another process holds the lock. An owner that was suspended, and that another machine took for
    dead, exits with status 2 as soon as it notices, since two processes must not write.
    """

    def __init__(self, folder: str | os.PathLike, flag: str = "--workdir"):
        self._path, self._flag = Path(folder) / LOCK_FILE, flag
        self._token = uuid.uuid4().hex
        self._released = threading.Event()
        self._made: list[Path] = []

    def __enter__(self) -> "FolderLock":
        folder = self._path.parent
        self._made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if not self._create():
                self._take_over()
        except BaseException:
            self._remove_made()
            raise
        self._beat = threading.Thread(target=self._keep_beating, name="lock", daemon=True)
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._beat.join()
        if self._is_ours():
            self._path.unlink(missing_ok=True)
        self._remove_made()

    def _remove_made(self) -> None:
        """Removes the folders that this lock created, if they are empty."""
        with contextlib.suppress(OSError):
            for path in self._made:
                path.rmdir()

    def _create(self) -> bool:
        """Creates the lock file; returns False if there is one already."""
        try:
            with open(self._path, "x", encoding="utf-8") as file:
                json.dump(_owner(self._token), file)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> None:
        """Replaces a dead owner by this process. Raises UserError if the owner is alive."""
        owner = _read(self._path)
        if _lives(owner, self._path):
            raise UserError(
                f"{self._path.parent}: in use {_told(owner)}; wait for it, stop it, or use another {self._flag}"
            )
        print(f"{self._path.parent}: the process that used it is gone; takes over its lock", file=sys.stderr)
        write_json(self._path, _owner(self._token))
        # If several processes take over at once, the last one to write owns it.
        time.sleep(_SETTLE_SECONDS)
        if not self._is_ours():
            raise UserError(f"{self._path.parent}: in use {_told(_read(self._path))}")

    def _is_ours(self) -> bool:
        return _read(self._path).get("token") == self._token

    def _keep_beating(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # Transient errors are ignored: a bucket may be unavailable for a while.
            with contextlib.suppress(OSError):
                owner = _read(self._path)
                if owner and owner.get("token") != self._token:
                    print(f"error: {self._path.parent}: taken over {_told(owner)}; stopped", file=sys.stderr)
                    os._exit(2)
                os.utime(self._path)


def _owner(token: str) -> dict[str, Any]:
    """The content of this process's lock file."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": now,
        "machine": _machine(),
        "start": _start(os.getpid()),
        "token": token,
    }


def _machine() -> list[str]:
    """Identifies a process table: host, boot and PID namespace. Process ids are comparable only within one."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    table = Path("/proc/self/ns/pid")
    found = [
        boot.read_text().strip() if boot.exists() else "",
        os.readlink(table) if table.is_symlink() else "",
    ]
    return [socket.gethostname(), *found]


def _start(process: int) -> str | None:
    """Start time of a process in kernel ticks, "" where it is not available; None if there is no such process."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        with contextlib.suppress(PermissionError):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return None
        return ""
    # Field 2 is the name in parentheses, which may contain anything; field 3 is the state, Z for a zombie.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _lives(owner: dict[str, Any], path: Path) -> bool:
    """Whether the owner of a lock is alive: looked up on this machine, observed if it is on another."""
    if owner.get("machine") == _machine():
        return _start(owner["process"]) is not None and _start(owner["process"]) == owner["start"]
    print(
        f"{path.parent}: was in use {_told(owner)}; watching for {SILENCE_SECONDS:.0f} s whether it is alive",
        file=sys.stderr,
    )
    before, end = _time(path), time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENCE_SECONDS / 10))
        if _time(path) not in (before, None):
            return True
    return False


def _time(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _read(path: Path) -> dict[str, Any]:
    """The content of a lock file; empty if it is missing, truncated or not a lock file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.keys() >= _owner("").keys() else {}


def _told(owner: dict[str, Any]) -> str:
    if not owner:
        return "by a process that has not written its name yet"
    return f"by process {owner['process']} (on {owner['host']}) since {owner['since']}"
