"""A folder's lock: one command at a time works in it; that of an owner who died is taken over.

The lock is a file, `lock.json`, that says who holds it. The kernel's locks (`flock`, `lockf`) are not used: folders
that lie in buckets have none, or only such as other machines do not see. Instead an owner on this machine is looked
for by its process id and its start, and one on another machine is known to live by the file's time, which it moves
every few seconds.
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
"""How often the owner moves the time of its lock."""

SILENCE_SECONDS = 90.0
"""An owner on another machine that has not done so for this long is dead. More than the minute for which a mounted
bucket may show a file as it was."""

_SETTLE_SECONDS = 0.3


class FolderLock:
    """The lock of `folder`, held from `with` on; it is released at the end of the block, however that ends.

    A folder that is not there is made, and removed again if nothing was put into it. `flag` is what names the folder
    on the command line.

    Raises UserError if another process holds it. An owner that another machine took for dead, since it stood still
    for long, ends with status 2 as soon as it sees that: two must not write.
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
        """Takes the folders away again that this lock made, if they are empty."""
        with contextlib.suppress(OSError):
            for path in self._made:
                path.rmdir()

    def _create(self) -> bool:
        """Whether there was no lock, and this one is now."""
        try:
            with open(self._path, "x", encoding="utf-8") as file:
                json.dump(_owner(self._token), file)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> None:
        """Puts this process in the place of an owner that is dead. Raises UserError if it lives."""
        owner = _read(self._path)
        if _lives(owner, self._path):
            raise UserError(
                f"{self._path.parent}: in use {_told(owner)}; wait for it, stop it, or use another {self._flag}"
            )
        print(f"{self._path.parent}: the process that used it is gone; takes over its lock", file=sys.stderr)
        write_json(self._path, _owner(self._token))
        # Of several that take over at once the last one to write has it.
        time.sleep(_SETTLE_SECONDS)
        if not self._is_ours():
            raise UserError(f"{self._path.parent}: in use {_told(_read(self._path))}")

    def _is_ours(self) -> bool:
        return _read(self._path).get("token") == self._token

    def _keep_beating(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # An error that passes is no loss: a bucket may be away for a while.
            with contextlib.suppress(OSError):
                owner = _read(self._path)
                if owner and owner.get("token") != self._token:
                    print(f"error: {self._path.parent}: taken over {_told(owner)}; stopped", file=sys.stderr)
                    os._exit(2)
                os.utime(self._path)


def _owner(token: str) -> dict[str, Any]:
    """What a lock says of this process."""
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
    """What two processes share if one can look for the other by its number: host, boot, and table of processes."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    table = Path("/proc/self/ns/pid")
    found = [
        boot.read_text().strip() if boot.exists() else "",
        os.readlink(table) if table.is_symlink() else "",
    ]
    return [socket.gethostname(), *found]


def _start(process: int) -> str | None:
    """When a process began, in the kernel's ticks, or "" where they are not told; None if there is no such process."""
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
    # Field 2 is the name in parentheses, which may hold anything; the third is the state, Z of one that has ended.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _lives(owner: dict[str, Any], path: Path) -> bool:
    """Whether the process that a lock names is there: looked up on this machine, watched for on another."""
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
    """What a lock says; nothing if it is gone, was cut short, or is no lock of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.keys() >= _owner("").keys() else {}


def _told(owner: dict[str, Any]) -> str:
    if not owner:
        return "by a process that has not said its name yet"
    return f"by process {owner['process']} (on {owner['host']}) since {owner['since']}"
