"""Programs of several real processes, which find each other on this machine."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LONGEST = 3600.0
"""Ends only what hangs."""


def start_processes(
    commands: Sequence[Sequence[str]], env: Mapping[str, str] | None = None, *, one_stream: bool = False
) -> list[subprocess.Popen]:
    """Starts a process for each command; several get each other's addresses as `mtv_jax.sharding.distributed` expects.

    With `one_stream` stderr goes where stdout does.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    started = []
    for index, command in enumerate(commands):
        whole = os.environ | {"JAX_PLATFORMS": "cpu"} | dict(env or {})
        if len(commands) > 1:
            whole |= {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_PROCESS_ID": str(index)}
            whole["JAX_NUM_PROCESSES"] = str(len(commands))
        errors = subprocess.STDOUT if one_stream else subprocess.PIPE
        started.append(
            subprocess.Popen(
                list(command), cwd=ROOT, env=whole, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        )
    return started


def finish_processes(started: Sequence[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """Waits for all: exit code, standard output and error of each."""
    try:
        outputs = [process.communicate(timeout=_LONGEST) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(started, outputs, strict=True)]


def wait_for(condition: Callable[[], Any], seconds: float = 600) -> Any:
    """What a condition answers once it is true."""
    for _ in range(int(seconds * 10)):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it does not happen")


def below(pid: int) -> dict[int, bytes]:
    """The processes that a process has started, directly or by others: id -> command line."""
    parents: dict[int, list[int]] = {}
    found: dict[int, bytes] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(), ()):
            with contextlib.suppress(OSError):
                found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes()
            waiting.append(child)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not waited for does not."""
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
