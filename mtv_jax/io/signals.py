"""Handling of SIGTERM and Ctrl-C: the command cleans up and exits with a status that names the signal.

Imports nothing slow: `mtv_jax/__init__.py` calls `handle` before anything else of a command is imported.
"""

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SAME_SECONDS = 2.0
"""Seconds within which a second signal is ignored, so that it does not interrupt the clean-up."""


_AGAIN_SECONDS = 0.05


class SignalExit(SystemExit):
    """Raised when a signal is received; its code follows the shell's convention: 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, number: int):
        super().__init__(128 + number)


_received: list[int] = []


def is_command() -> bool:
    """Whether this process was started as `python -m mtv_jax.<command>`, rather than importing the package."""
    pairs = itertools.pairwise(sys.orig_argv)
    return any(flag == "-m" and module.startswith("mtv_jax.") for flag, module in pairs)


def handle() -> Callable[[], None]:
    """Makes both signals raise `SignalExit`. Returns a function that restores the previous handlers.

    A signal that the parent process ignores (Ctrl-C, for a background job) stays ignored.
    """
    _received.clear()
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    process, last = os.getpid(), -_SAME_SECONDS

    def leave(number: int, _frame: object) -> None:
        nonlocal last
        if os.getpid() != process:  # a fork: its parent cleans up
            os._exit(128 + number)
        before, last = last, time.monotonic()
        if last - before < _SAME_SECONDS:
            return
        if not _received:
            # Not `print`: its buffer may be in use just now.
            os.write(2, f"{_NAMES[signal.Signals(number)]}\n".encode())
        _received.append(number)
        raise SignalExit(number)

    def ignored(unraisable: Any) -> None:
        """Raises once more, a little later: Python drops exceptions raised in a finaliser or a C callback."""
        nonlocal last
        if not isinstance(unraisable.exc_value, SignalExit):
            return hook(unraisable)
        last = -_SAME_SECONDS
        again = threading.Timer(_AGAIN_SECONDS, os.kill, (process, _received[0]))
        again.daemon = True
        again.start()

    hook, sys.unraisablehook = sys.unraisablehook, ignored
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in _NAMES}
    for number, handler in handlers.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, leave)

    def restore() -> None:
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            if handler is not None:  # None: installed outside of Python, so it cannot be restored
                signal.signal(number, handler)

    return restore


def exit_code() -> int | None:
    """The exit status of the received signal, if any: a library may have swallowed its exception."""
    return 128 + _received[0] if _received else None
