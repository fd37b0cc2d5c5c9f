"""Actors of Ray, played by a stub: which errors are deaths, and that no job waits for an actor without a place."""

import threading
import types
from typing import Any

import pytest
from curation.workers import Fragile, job

from mtv_jax.curation.executors import ray as executor
from mtv_jax.curation.executors.ray import RayExecutor
from mtv_jax.io.errors import UserError

DEATHS = ("RayActorError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectLostError")


class Stub:
    """As much of Ray as is used. An actor dies of `!` by `error`; only `places` actors find a place.

    So many are made `together`, before the first of them works.
    """

    def __init__(self, error: str = "RayActorError", places: int = 2, together: int = 1):
        self.barrier = threading.Barrier(together)
        names = (*DEATHS, "RaySystemError")
        self.exceptions = types.SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})
        self.error, self.places, self.made, self.killed = error, places, 0, []

    def init(self, **options):
        self.options = options

    def put(self, value):
        return value

    def remote(self, kind):
        return types.SimpleNamespace(options=lambda **_: types.SimpleNamespace(remote=self._actor))

    def _actor(self, work):
        self.made += 1
        number = self.made
        self.barrier.wait(timeout=60)
        run = types.SimpleNamespace(options=lambda **_: types.SimpleNamespace(remote=answers))

        def answers(given):
            for letter in given.film:
                if letter == "!":
                    raise getattr(self.exceptions, self.error)("the connection\nis lost")
                yield "the disk is full" if letter == "?" else f"{number}{letter}".encode()

        ready = types.SimpleNamespace(remote=lambda: number)
        return types.SimpleNamespace(run=run, ready=ready, number=number)

    def wait(self, answers, timeout):
        return [answer for answer in answers if answer <= self.places], []

    def get(self, said):
        return said

    def kill(self, actor):
        self.killed.append(actor.number)

    def shutdown(self):
        pass


def told(stub, films, monkeypatch, workers=1) -> list[Any]:
    monkeypatch.setattr(executor, "_ray", lambda: stub)
    monkeypatch.setattr(executor, "_PATIENCE", 0.01)
    monkeypatch.setattr(executor, "Event", lambda given, said=None, died=None: (given.film, said or died))
    pool = RayExecutor(Fragile(), workers)
    return list(pool.run([job(film) for film in films]))


@pytest.mark.parametrize("error", DEATHS)
def test_an_actor_that_dies_or_cannot_be_reached_is_replaced_and_ended(error, monkeypatch):
    stub = Stub(error)
    found = told(stub, ["a", "b!c", "d"], monkeypatch)
    reason = "the worker died (the connection is lost)"
    assert found == [("a", b"1a"), ("a", None), ("b!c", b"1b"), ("b!c", reason), ("d", b"2d"), ("d", None)]
    assert stub.killed == [1]


def test_other_errors_of_ray_end_the_run(monkeypatch):
    stub = Stub("RaySystemError")
    with pytest.raises(stub.exceptions.RaySystemError):
        told(stub, ["!"], monkeypatch)


def test_what_a_worker_cannot_go_on_for_is_one_line(monkeypatch):
    with pytest.raises(UserError, match="^the disk is full$"):
        told(Stub(), ["?"], monkeypatch)


def test_actors_without_a_place_in_the_cluster_hold_no_job(monkeypatch):
    stub = Stub(places=1, together=3)
    found = told(stub, list("abcdef"), monkeypatch, workers=3)
    assert sorted({film for film, said in found if said is None}) == list("abcdef")
    assert {said[:1] for _, said in found if said} == {b"1"}
    assert set(stub.killed) <= {2, 3}


def test_a_small_store_is_asked_for_on_this_machine_and_none_of_a_cluster(monkeypatch):
    stub = Stub()
    monkeypatch.setattr(executor, "_ray", lambda: stub)
    RayExecutor(Fragile(), 2)
    assert stub.options["object_store_memory"] <= 2**27
    assert stub.options["address"] == "local"  # not a cluster that somebody else runs here
    RayExecutor(Fragile(), 2, "10.0.0.1:6379")
    assert not {"object_store_memory", "num_cpus"} & set(stub.options)


def test_an_address_without_a_cluster_is_named(monkeypatch):
    def refuse(**options):
        raise ConnectionError("Could not find any running Ray instance")

    stub = Stub()
    stub.init = refuse
    monkeypatch.setattr(executor, "_ray", lambda: stub)
    with pytest.raises(UserError, match=r"^--address 10\.0\.0\.1:1: no Ray cluster answers"):
        RayExecutor(Fragile(), 2, "10.0.0.1:1")
