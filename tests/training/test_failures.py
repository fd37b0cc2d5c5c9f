"""Reads that succeed when retried, full disks and devices distinguished, and one verdict of several processes."""

import threading

import jax
import jax.numpy as jnp
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.training import failures, steps
from mtv_jax.training.failures import (
    DamagedError,
    agreed,
    is_full_disk,
    is_out_of_memory,
    report_out_of_memory,
    retried,
)
from mtv_jax.training.loop import fit


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited."""
    waited: list[float] = []
    monkeypatch.setattr(failures.time, "sleep", waited.append)
    return waited


def failing(times, error):
    """A read that fails so many times, and the number of calls."""
    calls = []

    def read():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "read"

    return read, calls


def test_a_read_is_retried_after_a_while_and_its_last_error_reported(waits):
    read, _ = failing(2, OSError(5, "Input/output error"))
    assert retried(read) == "read"
    assert waits == list(failures.RETRY_SECONDS)
    read, calls = failing(9, OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        retried(read)
    assert len(calls) == 3


def out_of_memory():
    jax.block_until_ready(jax.jit(lambda: jnp.zeros(1 << 50))())


def test_memory_that_ran_out_is_not_tried_again(waits):
    for read, kind in ((failing(1, MemoryError())[0], MemoryError), (out_of_memory, RuntimeError)):
        with pytest.raises(kind):
            retried(read)
    assert waits == []


@pytest.fixture(scope="module")
def xla():
    """What XLA raises for an array that no device has room for."""
    with pytest.raises(RuntimeError) as caught:
        out_of_memory()
    return caught.value


DISK = (
    "RESOURCE_EXHAUSTED: Error writing OCDBT: Failed to write 6377472 bytes to file 4: No space left on device "
    "[os_error_code='28']"
)


def test_a_full_disk_and_a_full_device_are_distinguished(xla):
    hbm = RuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20G of 15.75G hbm.")
    files = ValueError("RESOURCE_EXHAUSTED: Failed to open: Too many open files [os_error_code='24']")
    disk = (ValueError(DISK), OSError(28, "No space left on device"), OSError(122, "Disk quota exceeded"))
    assert [is_full_disk(e) for e in (*disk, xla, hbm, files)] == [True] * 3 + [False] * 3
    assert [is_out_of_memory(e) for e in (*disk, xla, hbm, files)] == [False] * 3 + [True] * 2 + [False]


def test_only_memory_is_reported_as_memory(xla):
    reported = r"training: out of device memory \(RESOURCE_EXHAUSTED: .*batch_size"
    with pytest.raises(UserError, match=reported), report_out_of_memory("training"):
        raise xla
    with pytest.raises(ValueError, match="No space left"), report_out_of_memory("training"):
        raise ValueError(DISK)


def test_a_step_that_needs_more_memory_than_there_is_is_one_line_that_says_so(make_job, monkeypatch):
    monkeypatch.setattr(steps, "compile_step", lambda *_: lambda state, batch: out_of_memory())
    with pytest.raises(UserError, match="training: out of device memory") as caught:
        fit(make_job(num_steps=4))
    assert "\n" not in str(caught.value)
    assert "disk" not in str(caught.value)


def as_processes(monkeypatch, *reads):
    """What `agreed` gives or raises in as many processes, here threads that meet where processes would."""
    meeting, reported, outcomes = threading.Barrier(len(reads), timeout=60), {}, {}
    indices = threading.local()

    def gather(value):
        reported[indices.own] = value
        meeting.wait()
        return [reported[i] for i in range(len(reads))]

    def process(index):
        indices.own = index
        try:
            outcomes[index] = agreed(reads[index])
        except Exception as error:
            outcomes[index] = error

    monkeypatch.setattr(failures, "gather", gather)
    threads = [threading.Thread(target=process, args=(i,)) for i in range(len(reads))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outcomes[i] for i in range(len(reads))]


def raising(error):
    def read():
        raise error

    return read


def test_what_all_can_read_each_gets_its_own_of(monkeypatch):
    assert as_processes(monkeypatch, lambda: "a", lambda: "b") == ["a", "b"]


def test_damage_that_one_process_sees_is_damage_to_all(monkeypatch):
    first, second = as_processes(monkeypatch, lambda: "a", raising(DamagedError("8: damaged")))
    assert isinstance(first, DamagedError)
    assert isinstance(second, DamagedError)
    assert str(first) == str(second) == "8: damaged (process 1 of 2)"


def test_another_failure_of_one_process_stops_all_and_no_older_checkpoint_is_taken(monkeypatch):
    outcomes = as_processes(
        monkeypatch, raising(DamagedError("8: damaged")), raising(ValueError("an error")), lambda: "c"
    )
    assert [type(outcome) for outcome in outcomes] == [RuntimeError, ValueError, RuntimeError]
    assert str(outcomes[2]) == "an error (process 1 of 3)"


def test_all_exit_as_the_one_whose_user_has_to_change_something(monkeypatch):
    outcomes = as_processes(monkeypatch, raising(UserError("disk full")), lambda: "b")
    assert [type(outcome) for outcome in outcomes] == [UserError, UserError]
