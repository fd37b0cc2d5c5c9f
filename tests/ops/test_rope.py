"""Rotary and sin-cos positions."""

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.ops.rope import apply_rope, resized_positions, rope_axis_dims, rope_table, sincos_table


def test_head_dimensions_of_cogvideox():
    assert rope_axis_dims(64) == (16, 24, 24)


def test_rotation_keeps_lengths_and_depends_on_distance_only():
    table = rope_table((np.arange(1), np.arange(1), np.arange(12)), rope_axis_dims(64))
    q, k = jax.random.normal(jax.random.key(0), (2, 64))
    turned_q, turned_k = (apply_rope(jnp.broadcast_to(x, (12, 1, 64)), *table)[:, 0] for x in (q, k))
    np.testing.assert_allclose(jnp.linalg.norm(turned_q, axis=-1), jnp.linalg.norm(q), rtol=1e-5)
    scores = np.asarray(turned_q @ turned_k.T)
    np.testing.assert_allclose(np.diagonal(scores, 3), scores[0, 3], rtol=1e-4, atol=1e-4)


def test_first_pair_of_an_axis_turns_by_one_radian_a_step():
    cos, sin = rope_table((np.arange(3), np.arange(2), np.arange(2)), rope_axis_dims(64))
    assert cos.shape == (12, 32)
    # Tokens are ordered time, row, column; pairs 0..7 are time, 8..19 rows, 20..31 columns.
    np.testing.assert_allclose(cos[8, 0], np.cos(2.0), rtol=1e-6)
    np.testing.assert_allclose(sin[2, 8], np.sin(1.0), rtol=1e-6)
    np.testing.assert_allclose(sin[1, 20], np.sin(1.0), rtol=1e-6)
    np.testing.assert_allclose(sin[1, 8], 0.0, atol=1e-7)


def test_bfloat16_heads_are_turned_in_float32():
    table = rope_table((np.arange(60), np.arange(1), np.arange(1)), rope_axis_dims(64))
    x = jax.random.normal(jax.random.key(0), (60, 1, 64)).astype(jnp.bfloat16)
    exact = apply_rope(x.astype(jnp.float32), *table)
    assert apply_rope(x, *table).dtype == jnp.bfloat16
    np.testing.assert_array_equal(apply_rope(x, *table), exact.astype(jnp.bfloat16))


def test_sincos_table_scales_space_and_not_time():
    table = sincos_table((2, 3, 4), 32, spatial_scale=2.0, temporal_scale=1.0)
    assert table.shape == (24, 32)
    second_frame = table[12]
    np.testing.assert_allclose(second_frame[0], np.sin(1.0), rtol=1e-6)
    second_column, second_row = table[1], table[4]
    np.testing.assert_allclose(second_column[8], np.sin(0.5), rtol=1e-6)
    np.testing.assert_allclose(second_row[20], np.sin(0.5), rtol=1e-6)


def test_grid_of_training_is_counted_from_zero():
    rows, columns = resized_positions((30, 45), (30, 45))
    np.testing.assert_allclose(rows, np.arange(30))
    np.testing.assert_allclose(columns, np.arange(45))


def test_other_grids_are_fitted_into_that_of_training():
    # Twice as fine: every half step. Wider: columns fill the width, rows lie in the middle.
    rows, columns = resized_positions((8, 12), (4, 6))
    np.testing.assert_allclose(rows, np.arange(8) / 2)
    np.testing.assert_allclose(columns, np.arange(12) / 2)
    rows, columns = resized_positions((2, 6), (4, 6))
    assert rows[0] == 1
    assert rows[-1] < 3
    np.testing.assert_allclose(columns, np.arange(6))
    rows, columns = resized_positions((4, 2), (4, 6))
    np.testing.assert_allclose(rows, np.arange(4))
    assert columns[0] == 2
    assert columns[-1] < 4
