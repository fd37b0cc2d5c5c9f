"""Meshes from configs, and batches on them."""

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.mesh import MeshConfig, abstract_mesh, check_batch_size, make_mesh, put_batch


def test_one_size_may_be_what_is_left():
    mesh = make_mesh(MeshConfig(data=1, fsdp=-1))
    assert dict(mesh.shape) == {"data": 1, "fsdp": jax.device_count(), "tensor": 1, "context": 1}
    assert set(mesh.axis_types) == {jax.sharding.AxisType.Auto}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MeshConfig(data=64), "needs 64 device"),
        (MeshConfig(data=-1, tensor=64), "64 does not divide the 1 device"),
        (MeshConfig(data=-1, tensor=-1), "only one may be -1"),
        (MeshConfig(data=0), "must be positive"),
    ],
)
def test_a_mesh_that_does_not_fit_is_reported_with_its_sizes(config, message):
    with pytest.raises(UserError, match=message):
        make_mesh(config, jax.devices()[:1])


def test_a_batch_must_split_over_data_and_fsdp():
    mesh = AbstractMesh((2, 2, 2, 1), ("data", "fsdp", "tensor", "context"))
    check_batch_size(mesh, 8)
    for size in (0, 6):
        with pytest.raises(UserError, match=f"batch size {size}: .* data x fsdp = 4"):
            check_batch_size(mesh, size)


@pytest.mark.parametrize(
    ("size", "accumulate", "reported"),
    [
        (128, 1, "120 and 144 are the nearest: --config.data.batch_size=120"),
        (128, 5, "120 and 240 are the nearest: --config.data.batch_size=120"),
        (16, 1, "24 is the smallest: --config.data.batch_size=24"),
        (0, 1, "24 is the smallest"),
    ],
)
def test_batch_sizes_that_would_do_are_named(size, accumulate, reported):
    mesh = abstract_mesh(MeshConfig(data=1, fsdp=-1), 24)
    for fits in (120, 144):
        check_batch_size(mesh, fits)
    with pytest.raises(UserError, match=reported):
        check_batch_size(mesh, size, accumulate)


def test_a_batch_keeps_its_values_and_types():
    batch = {"video": np.arange(24, dtype=np.uint8).reshape(4, 6), "text": np.ones((4, 2), np.float32)}
    put = put_batch(batch, make_mesh(MeshConfig()))
    for name, value in batch.items():
        np.testing.assert_array_equal(put[name], value)
        assert put[name].dtype == value.dtype
