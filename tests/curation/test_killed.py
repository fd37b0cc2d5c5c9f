"""A run that is killed at any point, and started again, gives the shards that one without a stop gives."""

import collections
import os
import random
import signal
import time

import pytest
from curation.films import ledger, start, write_film
from processes import below, is_alive, wait_for

from mtv_jax.data.shards import open_shards

KILLS = 10


@pytest.mark.slow
def test_a_run_that_is_killed_anywhere_goes_on_to_the_same_shards(tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    for number in range(4):
        write_film(films / f"{number}.mp4", 14, shade=20 * number)
    started = time.monotonic()
    assert start(films, tmp_path / "whole", "--workers", "1").wait() == 0
    usual = time.monotonic() - started
    rng = random.Random(0)
    for _ in range(KILLS):
        run = start(films, tmp_path / "out", "--workers", "2")
        time.sleep(rng.uniform(0.2, 0.9) * usual)
        started = below(run.pid)
        run.send_signal(signal.SIGKILL)
        run.wait()
        wait_for(lambda: not any(map(is_alive, started)), 30)  # noqa: B023 - called at once
    assert start(films, tmp_path / "out", "--workers", "2").wait() == 0
    for part in ("", "media"):
        manifests = [open_shards(tmp_path / name / part).manifest for name in ("out", "whole")]
        assert manifests[0] == manifests[1]
    done = collections.Counter((r["item"], r["stage"], r["key"]) for r in ledger(tmp_path / "out"))
    assert sum(count - 1 for count in done.values()) == 0  # what is in the ledger is not done again


@pytest.mark.slow
def test_a_signal_ends_a_run_and_its_workers(tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    for number in range(4):
        write_film(films / f"{number}.mp4", 14, shade=20 * number)
    run = start(films, tmp_path / "out", "--workers", "2")
    while not (tmp_path / "out" / "work" / "films").exists():
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGTERM)
    assert run.wait() == 143
    for _ in range(100):
        try:
            os.killpg(run.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("a worker lives on")
    assert start(films, tmp_path / "out", "--workers", "2").wait() == 0
