"""Jobs run in other processes, whose deaths cost no other job."""

import os
from pathlib import Path

import pytest
from curation.workers import CountThreads, Fragile, job

from mtv_jax import curate
from mtv_jax.curation.executors.inline import InlineExecutor
from mtv_jax.curation.executors.local import ENVIRONMENT, LocalExecutor
from mtv_jax.io.errors import UserError


def spelt(events):
    """Film -> what was told of it, letter by letter, and how it ended."""
    found = {}
    for event in events:
        told = found.setdefault(event.job.film, [])
        if event.message is None:
            told.append(event.died or "end")
        elif event.message.rows:
            told.append(event.message.item)
    return found


@pytest.fixture(scope="module")
def pool():
    executor = LocalExecutor(Fragile(), 2)
    yield executor
    executor.close()


def test_a_process_that_dies_costs_its_job_only(pool):
    films = ["ab", "c!d", "ef", "g"]
    assert spelt(pool.run(list(map(job, films)))) == {
        "ab": ["a", "b", "end"],
        "c!d": ["c", "the worker died (SIGKILL)"],
        "ef": ["e", "f", "end"],
        "g": ["g", "end"],
    }


def test_processes_are_used_again_and_jobs_are_told_as_in_one_process(pool):
    films = ["ab", "cd", "ef"]
    first, second = (list(pool.run(list(map(job, films)))) for _ in range(2))
    processes = [
        {row["process"] for event in events if event.message for row in event.message.rows}
        for events in (first, second)
    ]
    assert processes[1] <= processes[0]
    assert os.getpid() not in processes[0]
    assert len(processes[0]) <= 2
    assert spelt(first) == spelt(InlineExecutor(Fragile()).run(list(map(job, films))))


def test_an_error_that_is_no_films_fault_ends_the_run(pool):
    with pytest.raises(UserError, match="the disk is full"):
        spelt(pool.run([job("a?b")]))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_a_worker_runs_networks_on_one_thread(monkeypatch):
    monkeypatch.setenv("NPROC", "3")
    executor = LocalExecutor(CountThreads(), 1)
    try:
        (event, _) = executor.run([job("a")])
    finally:
        executor.close()
    assert event.message.rows[0]["threads"] == 1


def test_a_run_without_workers_has_one_thread_too(tmp_path, monkeypatch):
    seen = []

    def run_and_pack(*_args, **_options):
        seen.append(os.environ["NPROC"])
        raise UserError("stopped")

    for name in ENVIRONMENT:  # what is set is undone after the test
        monkeypatch.setenv(name, "7")
    monkeypatch.setattr("mtv_jax.curation.commands.run_and_pack", run_and_pack)
    monkeypatch.setattr("mtv_jax.curate._settings", lambda _args: None)
    with pytest.raises(UserError, match="stopped"):
        curate.main(["run", "--videos", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "0"])
    assert seen == ["1"]
