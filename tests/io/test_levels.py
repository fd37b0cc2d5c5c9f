import numpy as np
import pytest

from mtv_jax.io.levels import FLOOR_DBFS, SILENT_DBFS, dbfs, rms_dbfs
from mtv_jax.theatre.clip import audible


def test_levels_are_of_the_rms_and_at_least_the_floor():
    assert rms_dbfs(np.full(10, 0.1, np.float32)) == pytest.approx(-20)
    assert rms_dbfs(np.sin(np.arange(1000) * 2 * np.pi / 50)) == pytest.approx(-3.01, abs=0.01)
    assert rms_dbfs(np.zeros(10)) == rms_dbfs(np.zeros(0)) == FLOOR_DBFS == -120
    np.testing.assert_allclose(dbfs(np.array([1.0, 1e-4, 0.0, 1e-13])), [0, -40, -120, -120])


def test_a_track_is_silent_below_the_papers_level():
    assert SILENT_DBFS == -45
    assert audible(np.full(100, 10 ** (-44.9 / 20)))
    assert not audible(np.full(100, 10 ** (-45.1 / 20)))
