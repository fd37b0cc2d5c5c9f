"""SIGTERM and Ctrl-C end a command in the same way: what it began is cleaned up, and the exit status says which it was.

Imports nothing that takes time: `mtv_jax/__init__.py` calls `handle` before anything else of a command is imported.
"""

import itertools
import os
import signal
import sys
import threading
import time
from typing import Any

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SAME_SECONDS = 2.0
"""A signal so soon after another asks for the same thing, and must not break off the clean-up."""


class SignalExit(SystemExit):
    """Raised where a signal is received; its code is what a shell reports: 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, number: int):
        super().__init__(128 + number)


_received: list[int] = []


def is_command() -> bool:
    """Whether this process was started as `python -m mtv_jax.<command>`, rather than using the package."""
    pairs = itertools.pairwise(sys.orig_argv)
    return any(flag == "-m" and module.startswith("mtv_jax.") for flag, module in pairs)


def handle() -> dict[int, Any]:
    """Turns both signals into `SignalExit` from now on; returns the handlers before, for `restore`.

    One that the parent has told to ignore (Ctrl-C, for a job in the background) stays ignored.
    """
    _received.clear()
    if threading.current_thread() is not threading.main_thread():
        return {}
    process, last = os.getpid(), -_SAME_SECONDS

    def leave(number: int, _frame: object) -> None:
        nonlocal last
        if os.getpid() != process:  # a fork: to clean up is its parent's business
            os._exit(128 + number)
        _received.append(number)
        before, last = last, time.monotonic()
        if last - before < _SAME_SECONDS:
            return
        # Not `print`: its buffer may be in use just now.
        os.write(2, f"{_NAMES[signal.Signals(number)]}\n".encode())
        raise SignalExit(number)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in _NAMES}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, leave)
    return before


def restore(before: dict[int, Any]) -> None:
    """Puts back the handlers that `handle` replaced."""
    for number, handler in before.items():
        if handler is not None:  # None: not Python's, so that it cannot be put back
            signal.signal(number, handler)


def exit_code() -> int | None:
    """The exit status after the signal that was received, if one was: a library may have caught its exception."""
    return 128 + _received[0] if _received else None
