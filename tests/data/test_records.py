import dataclasses

import ml_dtypes
import msgpack
import numpy as np
import pytest

from mtv_jax.data.records import ClipRecord, ClipSource, clip_id, decode_record, encode_record
from mtv_jax.io.errors import UserError


def make_record(**changes):
    rng = np.random.default_rng(0)
    source = ClipSource("film.mp4", "ab" * 32, 0, 2560, (1, 12800), "CC-BY 3.0")
    record = ClipRecord(
        id=clip_id(source.sha256, source.start_pts, source.end_pts, source.time_base),
        prompt="a rabbit – près d'un arbre",
        fps=(30000, 1001),
        num_frames=5,
        height=32,
        width=48,
        source=source,
        arrays={
            "latents_mean": rng.normal(size=(2, 4, 6, 3)).astype(ml_dtypes.bfloat16),
            "text": rng.normal(size=(7, 4)).astype(np.float32),
            "video": rng.integers(0, 255, (5, 8, 8, 3), np.uint8),
        },
    )
    return dataclasses.replace(record, **changes)


def test_a_record_comes_back_as_it_was_bfloat16_included():
    record = make_record()
    read = decode_record(encode_record(record))
    for field in dataclasses.fields(ClipRecord):
        if field.name != "arrays":
            assert getattr(read, field.name) == getattr(record, field.name)
    assert read.arrays.keys() == record.arrays.keys()
    for key, array in record.arrays.items():
        assert read.arrays[key].dtype == array.dtype
        np.testing.assert_array_equal(read.arrays[key], array)


def test_the_same_record_gives_the_same_bytes():
    assert encode_record(make_record()) == encode_record(make_record())


def test_strided_and_big_endian_arrays_are_stored_by_value():
    array = np.arange(12, dtype=">f4").reshape(3, 4)[:, ::2]
    read = decode_record(encode_record(make_record(arrays={"text": array})))
    np.testing.assert_array_equal(read.arrays["text"], [[0, 2], [4, 6], [8, 10]])


def test_only_the_keys_asked_for_are_kept():
    data = encode_record(make_record())
    assert list(decode_record(data, ("text",)).arrays) == ["text"]
    with pytest.raises(UserError, match="holds no music; it has latents_mean, text, video"):
        decode_record(data, ("music",))


def test_the_id_depends_on_the_cut_and_not_on_how_the_time_base_is_written():
    base = clip_id("00", 0, 100, (1, 25))
    assert base == clip_id("00", 0, 100, (2, 50))
    assert len({base, clip_id("01", 0, 100, (1, 25)), clip_id("00", 1, 100, (1, 25))}) == 3
    assert clip_id("00", 0, 101, (1, 25)) != base
    assert len(base) == 64


def test_another_schema_version_is_named():
    fields = msgpack.unpackb(encode_record(make_record()))
    with pytest.raises(UserError, match="schema version 99, this program reads 1"):
        decode_record(msgpack.packb({**fields, "schema": 99}))


def damaged(kind):
    data = encode_record(make_record())
    fields = msgpack.unpackb(data)
    if kind == "cut":
        return data[:-100]
    if kind == "array cut":
        fields["arrays"]["text"]["data"] = fields["arrays"]["text"]["data"][:-4]
    if kind == "field lost":
        del fields["prompt"]
    if kind == "dtype":
        fields["arrays"]["text"]["dtype"] = "float33"
    if kind == "list":
        return msgpack.packb([1, 2])
    return b"" if kind == "empty" else msgpack.packb(fields)


@pytest.mark.parametrize("kind", ["cut", "array cut", "field lost", "dtype", "list", "empty"])
def test_damaged_bytes_are_one_clear_line(kind):
    with pytest.raises(UserError, match="damaged") as error:
        decode_record(damaged(kind))
    assert "\n" not in str(error.value)


def test_arrays_that_hold_no_numbers_are_refused():
    with pytest.raises(TypeError, match="dtype"):
        encode_record(make_record(arrays={"text": np.array(["a"])}))
