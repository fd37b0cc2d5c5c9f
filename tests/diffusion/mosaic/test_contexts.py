"""What networks attend to: the text, and sources in its place; how guidance takes them away."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.contexts import check_slots, compose, contexts
from mtv_jax.diffusion.mosaic.mosaic import Mosaic, lowest_located
from mtv_jax.diffusion.mosaic.options import MosaicOptions
from mtv_jax.io.errors import UserError

ROWS, FRAMES, TOKENS, TEXT, WIDTH = 2, 2, 2, 7, 3


def conditions(*names, boxes=True):
    """Sources of ones, twos, ... in that order; the text is zeros."""
    tracks = {
        name: np.full((ROWS, FRAMES, TOKENS, WIDTH), number, np.float32)
        for number, name in enumerate(names, 1)
    }
    n = len(names)
    mosaic = Mosaic(
        names,
        np.zeros((ROWS, n, FRAMES, 4), np.float32),
        np.zeros((ROWS, n), bool),
        np.ones((ROWS, n), bool),
        np.array([500.0, math.inf], np.float32),
    )
    text = np.zeros((ROWS, TEXT, WIDTH), np.float32)
    given = Conditions(text, tracks, boxes=mosaic if boxes else None, fps=np.full(ROWS, 8.0, np.float32))
    return jax.tree.map(jnp.asarray, given)


def test_sources_follow_the_text_in_the_order_of_their_boxes():
    """Under jit too, which sorts the names of a mapping."""
    given = conditions("wind", "dog")
    for found in (contexts(given, jnp.ones(ROWS)), jax.jit(contexts)(given, jnp.ones(ROWS))):
        np.testing.assert_array_equal(found.tokens[0, 0, :, 0], [0] * TEXT + [1, 1, 2, 2])
        assert found.tokens.shape == (ROWS, FRAMES, TEXT + 2 * TOKENS, WIDTH)
        assert found.text_length == TEXT


def test_rows_locate_down_to_their_own_timestep_while_they_hear_a_source():
    given = conditions("dog")
    for timestep, expected in ((981.0, [True, False]), (500.0, [True, False]), (499.0, [False, False])):
        found = contexts(given, jnp.full(ROWS, timestep))
        np.testing.assert_array_equal(found.locating, expected)
    silent = dataclasses.replace(given.boxes, active=jnp.zeros((ROWS, 1), bool))
    found = contexts(dataclasses.replace(given, boxes=silent), jnp.full(ROWS, 981.0))
    assert not found.locating.any()


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, math.inf), (1, 981), (6, 881), (49, 21), (50, 0), (99, 0)]
)
def test_locating_ends_with_the_last_of_its_steps(steps, expected):
    assert lowest_located(np.arange(981, 0, -20), steps) == expected
    with pytest.raises(UserError, match="-1 steps"):
        lowest_located([1], -1)


def test_without_boxes_all_sources_are_in_the_text_everywhere():
    found = contexts(conditions("wind", "dog", boxes=False), jnp.ones(ROWS))
    assert found.mosaic is None
    np.testing.assert_array_equal(found.tokens[0, 0, :, 0], [2, 2, 1, 1, 0, 0, 0])  # by sorted names
    assert contexts(Conditions(jnp.zeros((ROWS, TEXT, WIDTH))), jnp.ones(ROWS)) is None


def test_active_sources_take_the_slots_one_after_another():
    sources = jnp.arange(1.0, 4)[None, :, None, None, None] * jnp.ones((2, 3, 1, 2, 1))
    active = jnp.array([[True, False, True], [False, False, False]])
    found = compose(-jnp.ones((2, 8, 1)), sources, active, first_slot=1)
    np.testing.assert_array_equal(found[:, 0, :, 0], [[-1, 1, 1, 3, 3, -1, -1, -1], [-1] * 8])


def test_guidance_takes_sources_out_of_the_mosaic_by_branch():
    given = conditions("wind", "dog", "rain")
    stacked = given.for_guidance([["text", "dog"], ["wind", "rain"]])
    expected = np.repeat([[False] * 3, [False, True, False], [True] * 3], ROWS, 0)
    np.testing.assert_array_equal(stacked.boxes.active, expected)
    np.testing.assert_array_equal(stacked.boxes.locate_until, [500, math.inf] * 3)
    np.testing.assert_array_equal(stacked.fps, [8] * 3 * ROWS)
    assert stacked.boxes.boxes.shape == (3 * ROWS, 3, FRAMES, 4)
    found = contexts(stacked, jnp.full(3 * ROWS, 981.0))
    np.testing.assert_array_equal(found.locating, [False, False, True, False, True, False])


def test_a_source_that_a_row_does_not_hear_stays_unheard_in_every_branch():
    given = conditions("wind", "dog")
    active = jnp.array([[True, False], [True, True]])
    given = dataclasses.replace(given, boxes=dataclasses.replace(given.boxes, active=active))
    stacked = given.for_guidance([given.names])
    np.testing.assert_array_equal(
        stacked.boxes.active, [[False, False], [False, False], [True, False], [True, True]]
    )


@pytest.mark.parametrize(("sources", "tokens"), [(7, 10), (1, 76), (76, 1), (5, 15), (3, 20)])
def test_sources_fit_beside_a_start_token(sources, tokens):
    check_slots(sources, tokens, 77)
    with pytest.raises(UserError, match=f"{sources + 1} sources of {tokens} tokens") as found:
        check_slots(sources + 1, tokens, 77)
    assert f"room for {sources}" in str(found.value)


def test_wrong_sources_are_refused_in_one_line():
    given = conditions("wind", "dog")
    tracks = dict(given.tracks)
    with pytest.raises(UserError, match="each track needs a box"):
        contexts(dataclasses.replace(given, tracks={"wind": tracks["wind"]}), jnp.ones(ROWS))
    fewer = {name: track[:, :1] for name, track in tracks.items()}
    with pytest.raises(UserError, match=f"boxes of {FRAMES} frames: the sources' tokens are those of 1"):
        contexts(dataclasses.replace(given, tracks=fewer), jnp.ones(ROWS))
    longer = tracks | {"dog": jnp.zeros((ROWS, FRAMES, TOKENS + 1, WIDTH))}
    with pytest.raises(UserError, match="source dog of 3 x 3: must be 2 tokens of 3"):
        contexts(dataclasses.replace(given, tracks=longer), jnp.ones(ROWS))
    with pytest.raises(UserError, match="4 sources of 2 tokens"):
        contexts(conditions("a", "b", "c", "d"), jnp.ones(ROWS))
    with pytest.raises(UserError, match="gaussian='during'"):
        MosaicOptions(gaussian="during")
