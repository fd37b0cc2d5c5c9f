"""Clean stop of a run on SIGTERM or Ctrl-C: it saves, and the exit status identifies the signal."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils

from mtv_jax.sharding.distributed import gather


class StoppedError(RuntimeError):
    """A signal stopped the run, which has saved and can be resumed.

    Attributes:
      exit_code: 143 after SIGTERM, 130 after Ctrl-C (SIGINT): the status that a shell reports for a command
        ended by the signal.
    """

    def __init__(self, number: int, saved: str):
        name = "SIGTERM" if number == signal.SIGTERM else "Ctrl-C"
        super().__init__(f"stopped by {name}: {saved}; run the same command again to resume")
        self.exit_code = 128 + number


class Stop:
    """Turns SIGTERM and Ctrl-C into a request that the loop checks after each step; a context manager.

    With several processes JAX forwards the SIGTERM of one to all, and they agree on the step to stop after; Ctrl-C in
    one is forwarded likewise. A second Ctrl-C ends the process immediately, even during compilation, where Python's
    own handlers are delayed: a thread reads the signal numbers that the C handler writes.
    """

    def __init__(self) -> None:
        self._received: list[int] = []
        self._before: dict[int, Any] = {}

    @staticmethod
    @contextlib.contextmanager
    def withheld() -> Iterator[None]:
        """Processes started inside do not get Ctrl-C, which a terminal sends to all of them: those that read the
        data are needed until the step is finished. This process gets it after the block."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> "Stop":
        if threading.current_thread() is not threading.main_thread():
            return self
        # With several processes JAX handles SIGTERM.
        numbers = [signal.SIGINT] if jax.process_count() > 1 else [signal.SIGINT, signal.SIGTERM]
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._fd_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._watcher.start()
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._writing)
        self._watcher.join()
        os.close(self._reading)

    def at(self, step: int) -> bool:
        """Whether to stop after `step`."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return bool(self._received)

    def number(self) -> int:
        """The signal that stopped the run: SIGINT if any process received one. A collective call."""
        return signal.SIGINT if any(gather(signal.SIGINT in self._received)) else signal.SIGTERM

    def _note(self, number: int, _frame: object) -> None:
        self._received.append(number)

    def _watch(self) -> None:
        interrupts = 0
        while byte := os.read(self._reading, 1):
            interrupts += byte[0] == signal.SIGINT
            if interrupts > 1:
                os.write(2, b"aborted\n")
                os._exit(128 + signal.SIGINT)
            if byte[0] == signal.SIGINT:
                message = "Ctrl-C: stops after this step and saves; Ctrl-C again aborts at once"
                print(message, file=sys.stderr, flush=True)
                if jax.process_count() > 1:
                    os.kill(os.getpid(), signal.SIGTERM)
