"""Free memory: of a device, and of the host."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

_UNLIMITED = 2**60
"""cgroup v1 reports no limit as a value above this."""


@dataclass(frozen=True)
class Room:
    """Memory of one device: its JAX name, and the bytes currently free."""

    name: str
    free: int


def device_room(device: Any = None, *, devices: int = 1) -> Room | None:
    """The free memory of a device (default: the first one of this process); None if unknown.

    On a GPU or TPU this is what JAX may allocate, less what it has allocated. On CPU the number `devices` that run
    concurrently share the free host memory (`host_free`).
    """
    device = jax.local_devices()[0] if device is None else device
    if device.platform == "cpu":
        free = host_free()
        return None if free is None else Room("cpu", free // devices)
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return Room(device.device_kind, stats["bytes_limit"] - stats.get("bytes_in_use", 0))


def host_free(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still allocate: the machine's available memory, limited by its cgroups."""
    known = [free for free in (_available(root), *_group_rooms(root)) if free is not None]
    return max(0, min(known)) if known else None


def _available(root: Path) -> int | None:
    try:
        for line in (root / "proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                return int(rest.split()[0]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _group_rooms(root: Path) -> list[int]:
    """Remaining bytes of each cgroup of this process, from the innermost to the root."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    rooms = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            mount, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            mount, limit = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            used = "memory.usage_in_bytes"
        else:
            continue
        inside = mount / path.strip("/")
        for folder in (inside, *inside.parents):
            if folder == mount.parent:
                break
            rooms += _group_room(folder, limit, used)
    return rooms


def _group_room(folder: Path, limit: str, used: str) -> list[int]:
    """Limit minus usage, without the reclaimable page cache; nothing without a limit."""
    try:
        most, now = (folder / limit).read_text().strip(), int((folder / used).read_text())
        if most == "max" or int(most) > _UNLIMITED:
            return []
        stat = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
        files = int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
        return [int(most) - now + files]
    except (OSError, ValueError):
        return []
