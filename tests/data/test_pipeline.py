import collections
import dataclasses
import itertools
import json
import time
import tracemalloc

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest

from mtv_jax.data.pipeline import (
    DataConfig,
    _RowOrder,
    batch_shapes,
    check_reading,
    make_dataset,
    mixture_counts,
)
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.data.transforms import resize_crop, to_uint8, to_unit
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256


def make_record(number):
    return ClipRecord(
        id=f"clip{number:04d}",
        prompt="",
        fps=(24, 1),
        num_frames=5,
        height=16,
        width=16,
        source=ClipSource("a.mp4", "00", number, number + 5, (1, 24)),
        arrays={
            "latents_mean": np.full((2, 2), number, np.float32),
            "text": np.full((1 + number % 3, 2), number + 1, np.float32),
        },
    )


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shards")
    subsets = {
        "low": [f"clip{i:04d}" for i in range(9)],
        "high": [f"clip{i:04d}" for i in range(9, 23)],
    }
    records = (make_record(i) for i in range(23))
    write_shards(directory, records, kind="latents", subsets=subsets, records_per_shard=7)
    return open_shards(directory)


def numbers(batch):
    return batch["latents_mean"][:, 0, 0].astype(int).tolist()


def draw(shards, count, *, process=(0, 1), first_batch=0, **options):
    config = DataConfig(**{"batch_size": 4, "text_length": 4, "read_threads": 2, **options})
    dataset = make_dataset(
        shards, config, first_batch=first_batch, process_index=process[0], process_count=process[1]
    )
    return [numbers(batch) for batch in itertools.islice(iter(dataset), count)]


def test_a_batch_holds_rows_and_texts_padded_with_zeros(shards):
    config = DataConfig(batch_size=4, shuffle=False, text_length=5)
    batch = next(iter(make_dataset(shards, config)))
    assert set(batch) == {"latents_mean", "text"}
    assert batch["latents_mean"].shape == (4, 2, 2)
    assert batch["text"].shape == (4, 5, 2)
    for row, number in enumerate(numbers(batch)):
        tokens = 1 + number % 3
        assert (batch["text"][row, :tokens] == number + 1).all()
        assert not batch["text"][row, tokens:].any()


def test_each_epoch_has_each_record_once_in_another_order(shards):
    rows = list(itertools.chain.from_iterable(draw(shards, 23, batch_size=4)))
    epochs = [rows[i * 23 : (i + 1) * 23] for i in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(23))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_seed_decides_the_order(shards):
    assert draw(shards, 5, seed=3) == draw(shards, 5, seed=3)
    assert draw(shards, 5, seed=3) != draw(shards, 5, seed=4)
    assert draw(shards, 2, shuffle=False) == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("mixture", [None, {"low": 2, "high": 1}])
@pytest.mark.parametrize("processes", [2, 4])
def test_the_global_batch_does_not_depend_on_the_number_of_processes(shards, processes, mixture):
    whole = draw(shards, 8, mixture=mixture)
    parts = [draw(shards, 8, mixture=mixture, process=(i, processes)) for i in range(processes)]
    assert [list(itertools.chain(*rows)) for rows in zip(*parts, strict=True)] == whole


@pytest.mark.parametrize("mixture", [None, {"low": 2, "high": 1}])
@pytest.mark.parametrize("process", [(0, 1), (1, 2)])
def test_reading_begins_at_any_batch_as_if_it_had_come_there(shards, process, mixture):
    whole = draw(shards, 9, process=process, mixture=mixture)
    assert draw(shards, 4, process=process, mixture=mixture, first_batch=5) == whole[5:]


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_threads_do_not_change_the_order(shards, threads):
    assert draw(shards, 8, read_threads=threads) == draw(shards, 8, read_threads=2)


def test_fewer_records_than_a_batch_still_fill_it(shards):
    batches = draw(shards, 3, batch_size=64)
    assert [len(rows) for rows in batches] == [64] * 3
    counts = collections.Counter(itertools.chain(*batches))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_one_pass_loses_no_row(shards, processes, shuffle):
    parts = [
        draw(shards, None, repeat=False, shuffle=shuffle, batch_size=8, process=(i, processes))
        for i in range(processes)
    ]
    rows = list(itertools.chain.from_iterable(itertools.chain.from_iterable(parts)))
    assert sorted(rows) == list(range(23))
    assert sum(len(part[-1]) for part in parts) == 23 % 8


def test_a_state_brings_back_the_following_batches(shards):
    dataset = make_dataset(shards, DataConfig(batch_size=4, seed=1, text_length=4))
    iterator = iter(dataset)
    for _ in range(7):
        next(iterator)
    state = iterator.get_state()
    expected = [next(iterator) for _ in range(6)]
    again = iter(dataset)
    again.set_state(state)
    for batch in expected:
        resumed = next(again)
        for key, array in batch.items():
            np.testing.assert_array_equal(resumed[key], array)


def test_an_orbax_checkpoint_brings_back_the_following_batches(shards, tmp_path):
    dataset = make_dataset(shards, DataConfig(batch_size=4, seed=1, text_length=4))
    iterator = iter(dataset)
    for _ in range(7):
        next(iterator)
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(7, args=ocp.args.Composite(data=grain.checkpoint.CheckpointSave(iterator)))
        manager.wait_until_finished()
        expected = [numbers(next(iterator)) for _ in range(6)]
        again = iter(dataset)
        manager.restore(7, args=ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(again)))
    assert [numbers(next(again)) for _ in range(6)] == expected


def test_worker_processes_change_neither_order_nor_resume(shards):
    config = DataConfig(batch_size=4, seed=1, text_length=4, num_workers=2)
    iterator = iter(make_dataset(shards, config))
    first = [numbers(next(iterator)) for _ in range(5)]
    state = iterator.get_state()
    later = [numbers(next(iterator)) for _ in range(4)]
    assert first + later == draw(shards, 9, seed=1)
    again = iter(make_dataset(shards, config))
    again.set_state(state)
    assert [numbers(next(again)) for _ in range(4)] == later


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_mixture_has_exact_counts_in_every_block_on_every_process(shards, shuffle, processes):
    options = {"mixture": {"low": 0.75, "high": 0.25}, "shuffle": shuffle, "batch_size": 8}
    parts = [draw(shards, 30, **options, process=(i, processes)) for i in range(processes)]
    for batch in zip(*parts, strict=True):
        rows = list(itertools.chain(*batch))
        assert sum(row < 9 for row in rows[:4]) == 3
        assert sum(row < 9 for row in rows[4:]) == 3
    for part in parts:  # trap: mixing by turns, then slicing, gives each process one subset only
        low = sum(row < 9 for row in itertools.chain(*part))
        assert low == pytest.approx(0.75 * 30 * 8 / processes, abs=12)
    counts = collections.Counter(row for part in parts for batch in part for row in batch if row < 9)
    assert set(counts.values()) == {20}


def test_one_subset_can_be_read_once(shards):
    rows = itertools.chain(*draw(shards, None, mixture={"low": 1}, repeat=False))
    assert sorted(rows) == list(range(9))


def test_weights_become_the_smallest_whole_numbers():
    assert mixture_counts({"a": 0.5, "b": 0.25, "c": 0.25}) == (2, 1, 1)
    assert mixture_counts({"a": 1 / 3, "b": 2 / 3}) == (1, 2)
    assert mixture_counts({"a": 0.7, "b": 0.2, "c": 0.1}) == (7, 2, 1)
    assert mixture_counts({"a": 40, "b": 10}) == (4, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": 3, "process": (0, 2)}, "multiple of the 2 processes"),
        ({"keys": ("latents_mean", "musik")}, "'musik': not in .* it has latents_mean, text"),
        ({"text_length": None}, "give text_length"),
        ({"text_length": 2}, "text has 3 tokens, text_length is 2"),
        ({"mixture": {"low": 1, "mid": 1}}, "'mid': not in .*; its subsets: high, low"),
        ({"mixture": {"low": 0}}, "weights above 0"),
        ({"mixture": {}}, "weights above 0"),
        ({"mixture": {"low": 1, "high": 1}, "repeat": False}, "one pass"),
        ({"mixture": {"low": 1, "high": 99999}}, "small whole numbers"),
    ],
)
def test_a_config_that_cannot_work_is_one_clear_line(shards, options, message):
    with pytest.raises(UserError, match=message) as error:
        draw(shards, 9, **options)
    assert "\n" not in str(error.value)


def test_shapes_of_a_batch_are_those_of_the_manifest(shards, tmp_path):
    config = DataConfig(batch_size=4, text_length=5)
    batch = next(iter(make_dataset(shards, config)))
    shapes = batch_shapes(shards, config)
    assert {key: (x.shape, x.dtype) for key, x in shapes.items()} == {
        key: (x.shape, x.dtype) for key, x in batch.items()
    }
    with pytest.raises(UserError, match="give text_length"):
        batch_shapes(shards, DataConfig(batch_size=4))
    write_shards(tmp_path, [make_record(2)], kind="latents")  # all texts have 3 tokens
    with pytest.raises(UserError, match="its text has 3 tokens, text_length is 2"):
        check_reading(open_shards(tmp_path), DataConfig(batch_size=4, text_length=2))


def test_frames_are_scaled_to_cover_and_cut_in_the_middle():
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[None, None, :, None], (2, 40, 160, 3))
    frames = resize_crop(np.ascontiguousarray(ramp), 20, 20)
    assert frames.shape == (2, 20, 20, 3)
    expected = 60 + 2 * np.arange(20) + 0.5  # the middle 40 columns, halved
    np.testing.assert_allclose(frames[0, 10, 2:-2, 0], expected[2:-2], atol=1)
    assert resize_crop(np.zeros((1, 108, 192, 3), np.uint8), 64, 96).shape == (1, 64, 96, 3)
    assert resize_crop(np.zeros((1, 9, 9, 3), np.uint8), 32, 16).shape == (1, 32, 16, 3)
    with pytest.raises(UserError, match="at least 1"):
        resize_crop(np.zeros((1, 9, 9, 3), np.uint8), 0, 16)


def test_every_pixel_value_survives_the_unit_range():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    unit = to_unit(values)
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_uint8(unit), values)
    beyond = np.array([-3.0, 0.0, 3.0]).reshape(1, 1, 3)
    np.testing.assert_array_equal(to_uint8(beyond).ravel(), [0, 128, 255])


@pytest.mark.parametrize("workers", [1, 2, 5, 8])
@pytest.mark.parametrize("hosts", [1, 2, 5, 8])
def test_every_host_and_worker_gets_its_share_of_each_subset(hosts, workers):
    """Mixing and then slicing gives host k only subset k, where there are as many hosts (or workers) as subsets."""
    order = {"counts": (1, 1, 1, 1, 1), "num_rows": 10**9, "seed": 0, "batch_size": 40, "first_batch": 0}
    local = 40 // hosts
    for host in range(hosts):
        rows = _RowOrder(**order, process=(host, hosts))
        for worker in range(workers):  # Grain gives a worker every so many batches
            batches = range(worker, 15 * workers, workers)
            counts = collections.Counter(
                rows[batch * local + row][0] for batch in batches for row in range(local)
            )
            shares = np.array([counts[subset] for subset in range(5)]) / (15 * local)
            np.testing.assert_allclose(shares, 0.2, atol=0.14)


def test_a_million_index_entries_open_fast_and_small(tmp_path):
    """The subsets' indices are mapped, not parsed: the limits are 2 s and 200 MB."""
    records = (
        dataclasses.replace(make_record(i), arrays={"latents_mean": np.zeros(1, np.int8)}) for i in range(8)
    )
    write_shards(tmp_path, records, kind="latents", subsets={"all": [f"clip{i:04d}" for i in range(8)]})
    count = 1_000_000
    np.save(tmp_path / "subset-all.npy", np.arange(count))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["num_records"] = manifest["shards"][0]["count"] = count
    path = tmp_path / "subset-all.npy"
    manifest["subsets"][0] |= {"count": count, "bytes": path.stat().st_size, "sha256": sha256(path)}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    tracemalloc.start()
    started = time.process_time()
    opened = open_shards(tmp_path)
    config = DataConfig(batch_size=8, mixture={"all": 1})
    make_dataset(opened, config, process_index=0, process_count=1)
    assert time.process_time() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()
    assert isinstance(opened.subset("all"), np.memmap)
