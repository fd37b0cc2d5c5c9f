"""How processes find each other and agree, without starting any: JAX's service is replaced by a dict."""

import hashlib

import jax
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.sharding import distributed
from mtv_jax.sharding.distributed import VARIABLES, check_same, from_first, gather, join_processes

CLUSTER = (
    *("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES_PATH", "MEGASCALE_NUM_SLICES"),
    *("SLURM_NTASKS", "SLURM_STEP_NODELIST"),
)


@pytest.fixture
def joined(monkeypatch):
    """The arguments of each call of `jax.distributed.initialize`, in an environment that says nothing."""
    calls = []
    for name in (*VARIABLES, *CLUSTER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args: calls.append(args))
    return calls


def test_the_variables_say_who_is_who(joined, monkeypatch):
    for name, value in zip(VARIABLES, ("host:1234", "4", "3"), strict=True):
        monkeypatch.setenv(name, value)
    join_processes()
    assert joined == [("host:1234", 4, 3)]


@pytest.mark.parametrize("values", [("host:1", "2", ""), ("host:1", "2", "2"), ("host:1", "two", "0")])
def test_variables_that_are_missing_or_wrong_are_named(values, joined, monkeypatch):
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="JAX_PROCESS_ID"):
        join_processes()
    assert not joined


@pytest.mark.parametrize(
    ("environment", "joins"),
    [
        ({}, False),
        ({"TPU_WORKER_HOSTNAMES": "a"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_PROCESS_ADDRESSES": "a:1,b:1", "TPU_WORKER_HOSTNAMES": "a"}, True),
        ({"TPU_PROCESS_ADDRESSES_PATH": "file"}, True),
        ({"MEGASCALE_NUM_SLICES": "1"}, False),
        ({"MEGASCALE_NUM_SLICES": "2"}, True),
        ({"SLURM_NTASKS": "2"}, False),  # in sbatch, outside of srun
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "a"}, False),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "a,b"}, True),
    ],
)
def test_jax_is_asked_for_the_others_in_a_cluster_only(environment, joins, joined, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    join_processes()
    assert joined == [()] * joins


class Service(dict):
    """JAX's key-value store."""

    def key_value_set(self, key, value):
        self[key] = value

    def blocking_key_value_get(self, key, milliseconds):
        assert milliseconds >= 60_000, "a late process is waited for"
        return self[key]


@pytest.fixture
def process(monkeypatch):
    """Turns this into process `index` of two, which asks its first question."""
    service = Service()

    def become(index):
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        monkeypatch.setattr(jax, "process_index", lambda: index)
        monkeypatch.setattr(distributed, "_number_asked", iter(range(10)))
        monkeypatch.setattr(distributed, "_client", lambda: service)

    return become


def test_one_process_agrees_with_itself():
    assert gather({"a": 1}) == [{"a": 1}]
    assert from_first("answer", lambda: "mine") == "mine"
    check_same("text", "config")


def test_only_the_first_process_decides(process):
    process(0)
    assert from_first("answer", lambda: "first") == "first"
    process(1)
    assert from_first("answer", lambda: pytest.fail("asked")) == "first"


@pytest.mark.parametrize(
    ("error", "others"), [(UserError("no room"), UserError), (ZeroDivisionError("oops"), RuntimeError)]
)
def test_all_processes_fail_as_the_first_one_does(error, others, process):
    def fail():
        raise error

    process(0)
    with pytest.raises(type(error)):
        from_first("answer", fail)
    process(1)
    with pytest.raises(others, match=f"process 0: {error}"):
        from_first("answer", fail)


def test_another_text_of_another_process_is_an_error(monkeypatch):
    digest = hashlib.sha256(b"same").hexdigest()
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(distributed, "gather", lambda own: [digest, own])
    check_same("same", "config")
    with pytest.raises(UserError, match="config: process 1 of 2"):
        check_same("other", "config")
