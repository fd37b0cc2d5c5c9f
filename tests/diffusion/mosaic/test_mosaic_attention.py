"""Attention Mosaic against its definition in NumPy, source by source, and its properties."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.diffusion.mosaic import boxes as of_boxes
from mtv_jax.diffusion.mosaic.attention import mosaic_attention
from mtv_jax.diffusion.mosaic.contexts import Contexts
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.diffusion.mosaic.options import MosaicOptions
from mtv_jax.ops.attention import attention

ROWS, SOURCES, FRAMES, TOKENS, TEXT = 2, 3, 2, 2, 9
GRID, HEADS, DIM = (5, 8), 2, 4
PIXELS = GRID[0] * GRID[1]
PAPER = MosaicOptions.paper()
NULL = MosaicOptions(outside="null", first_slot=1)

MOVING = np.array(
    [
        [[0.0, 0.2, 0.5, 0.8], [0.25, 0.2, 0.75, 0.8]],
        [[0.5, 0.2, 1.0, 0.8], [0.5, 0.2, 1.0, 0.8]],
        [[0.3, 0.4, 0.6, 0.7], [0.0, 0.0, 0.25, 0.4]],
    ],
    np.float32,
)
"""Two large boxes that touch and then overlap, and a small one over them that leaves; [n f 4]."""

attend = jax.jit(mosaic_attention, static_argnames="grid")
covered = np.asarray(jax.jit(of_boxes.inside, static_argnums=(1, 2))(MOVING, GRID, PAPER.margin))
shapes = jax.jit(of_boxes.gaussians, static_argnums=(1, 2, 3))


@pytest.fixture(scope="module")
def qkv():
    keys = jax.random.split(jax.random.key(0), 3)
    lengths = PIXELS, *[TEXT + SOURCES * TOKENS] * 2
    shapes = [(ROWS * FRAMES, length, HEADS, DIM) for length in lengths]
    return tuple(2 * jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))


def contexts(locating, options=PAPER, **changes):
    """Of rows that are `locating` or not, with `MOVING` boxes."""
    given = {
        "boxes": np.broadcast_to(MOVING, (ROWS, *MOVING.shape)),
        "background": np.zeros((ROWS, SOURCES), bool),
        "active": np.ones((ROWS, SOURCES), bool),
        "locate_until": np.zeros(ROWS, np.float32),
    }
    mosaic = Mosaic(("a", "b", "c"), **(given | changes), options=options)
    tokens = np.zeros((ROWS, FRAMES, TEXT + SOURCES * TOKENS, 1), np.float32)
    locating = np.asarray(locating) & np.asarray(mosaic.active).any(1)
    return jax.tree.map(jnp.asarray, Contexts(tokens, mosaic, locating, TEXT))


def of_all(values):
    """The same for every row."""
    return np.broadcast_to(np.asarray(values), (ROWS, *np.shape(values)))


def visible(sources, first):
    """Which of the pooled tokens a context has with these sources from slot `first` on."""
    text = [slot < first or slot >= first + TOKENS * len(sources) for slot in range(TEXT)]
    return np.array(text + [n in sources for n in range(SOURCES) for _ in range(TOKENS)])


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def own_context(q, k, v, sources, first):
    """Plain attention [p h d] of one frame to the text with `sources` in it."""
    keep = visible(sources, first)
    weights = softmax(np.einsum("phd,mhd->hpm", q, k[keep]) / np.sqrt(q.shape[-1]))
    return np.einsum("hpm,mhd->phd", weights, v[keep])


def heard_by(pixel, frame, *, nearest):
    """The sources that a pixel hears: the smallest box's, or else the nearest's."""
    boxes = MOVING[:, frame]
    row, column = divmod(pixel, GRID[1])
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    x, y = column + 0.5, row + 0.5
    left, top, right, bottom = boxes.T * np.array([GRID[1], GRID[0]] * 2)[:, None]
    far = np.hypot(
        np.maximum(0, np.maximum(left - x, x - right)), np.maximum(0, np.maximum(top - y, y - bottom))
    )
    among = np.flatnonzero(covered[:, frame, row, column])
    if not len(among):
        among = np.flatnonzero(far <= (far.min() if nearest else 0) + 1e-3)
    return tuple(n for n in among if area[n] <= 1.001 * area[among].min())


def denoised_by_hand(qkv, row, options):
    """[f p h d] by Eq. 10: each source's own attention, of which the boxes select the outputs."""
    q, k, v = (np.asarray(x, np.float64).reshape(ROWS, FRAMES, *x.shape[1:])[row] for x in qkv)
    out = np.zeros(q.shape)
    for frame in range(FRAMES):
        own = functools.cache(
            lambda sources, f=frame: own_context(q[f], k[f], v[f], sources, options.first_slot)
        )
        for pixel in range(PIXELS):
            sources = heard_by(pixel, frame, nearest=options.outside == "nearest")
            out[frame, pixel] = own(sources)[pixel]
    return out


def located_by_hand(qkv, row, options, background=()):
    """[f p h d] by Eq. 4-8: the composed context, its logits or weights changed by Gaussians."""
    q, k, v = (np.asarray(x, np.float64).reshape(ROWS, FRAMES, *x.shape[1:])[row] for x in qkv)
    keep = visible(range(SOURCES), options.first_slot)
    k, v = k[:, keep], v[:, keep]
    values = np.einsum("fphd,fmhd->fhpm", q, k) / np.sqrt(q.shape[-1])
    values = softmax(values) if options.gaussian == "post" else values
    own = np.array(shapes(MOVING, GRID, options.margin, options.kernel), np.float64)
    own = own.reshape(SOURCES, FRAMES, PIXELS)
    own[list(background)] = 0
    change = np.zeros(values.shape)
    for source in set(range(SOURCES)) - set(background):
        pull = own[source] - sum(own[other] for other in range(SOURCES) if other != source)
        first = keep[:TEXT].sum() + source * TOKENS
        change[..., first : first + TOKENS] = options.strength * values.max() * pull[:, None, :, None]
    weights = values + change
    return np.einsum("fhpm,fmhd->fphd", softmax(weights) if options.gaussian == "pre" else weights, v)


def close(found, expected, atol=2e-5):
    np.testing.assert_allclose(np.asarray(found).reshape(np.shape(expected)), expected, atol=atol)


@pytest.mark.parametrize("options", [PAPER, NULL], ids=["nearest", "null"])
def test_denoising_puts_each_source_s_own_attention_where_its_box_is(qkv, options):
    """The boxes move, touch and overlap; the smallest wins, and pixels in none hear what the option says."""
    found = attend(*qkv, contexts([False, False], options), GRID)
    close(found, [denoised_by_hand(qkv, row, options) for row in range(ROWS)])


@pytest.mark.parametrize("options", [PAPER, MosaicOptions(gaussian="post")], ids=["pre", "post"])
def test_locating_pulls_pixels_to_the_source_of_their_box(qkv, options):
    found = attend(*qkv, contexts([True, True], options), GRID)
    close(found, [located_by_hand(qkv, row, options) for row in range(ROWS)], atol=1e-4)


def test_rows_of_both_kinds_are_as_each_alone(qkv):
    mixed = attend(*qkv, contexts([False, True]), GRID)
    first, second = jnp.split(mixed, 2)
    close(first, denoised_by_hand(qkv, 0, PAPER))
    close(second, located_by_hand(qkv, 1, PAPER), atol=1e-4)


def test_no_row_depends_on_another_one_s_logits(qkv):
    """As guidance has it: an unconditional row, whose logits may be larger, beside the conditional one."""
    active = np.array([[False] * SOURCES, [True] * SOURCES])
    q, k, v = qkv
    loud = q.at[:FRAMES].multiply(10)
    found = [attend(x, k, v, contexts([True, True], active=active), GRID)[FRAMES:] for x in (q, loud)]
    np.testing.assert_array_equal(*found)
    close(found[0], located_by_hand(qkv, 1, PAPER), atol=1e-4)


@pytest.mark.parametrize("locating", [False, True])
def test_a_row_that_hears_no_source_is_plain_attention_to_the_text(qkv, locating):
    active = of_all([False] * SOURCES)
    q, k, v = qkv
    found = attend(q, k, v, contexts([locating] * 2, active=active), GRID)
    np.testing.assert_allclose(found, attention(q, k[:, :TEXT], v[:, :TEXT]), atol=1e-6)


def test_an_inactive_source_leaves_its_box_to_others_and_the_text_in_its_place(qkv):
    """Only b is heard, so it is the nearest box everywhere, in the first slots."""
    found = attend(*qkv, contexts([False, True], active=of_all([False, True, False])), GRID)
    q, k, v = (np.asarray(x, np.float64) for x in qkv)
    close(found[:FRAMES], [own_context(q[f], k[f], v[f], [1], 0) for f in range(FRAMES)])
    assert np.abs(found[FRAMES:] - located_by_hand(qkv, 1, PAPER)).max() > 0.1


@pytest.mark.parametrize("options", [PAPER, NULL], ids=["nearest", "null"])
def test_one_source_with_a_full_box_is_plain_attention(qkv, options):
    boxes = of_all(np.broadcast_to(np.float32([0, 0, 1, 1]), (SOURCES, FRAMES, 4)))
    active = of_all([True, False, False])
    found = attend(*qkv, contexts([False, False], options, boxes=boxes, active=active), GRID)
    keep = visible([0], options.first_slot)
    q, k, v = qkv
    np.testing.assert_allclose(found, attention(q, k[:, keep], v[:, keep]), atol=1e-6)


@pytest.mark.parametrize("locating", [False, True])
def test_permuting_sources_with_their_boxes_changes_nothing(qkv, locating):
    q, k, v = qkv
    usual = {"background": of_all([False, False, True]), "active": of_all([True, True, True])}
    expected = attend(q, k, v, contexts([locating] * 2, **usual), GRID)
    for order in itertools.islice(itertools.permutations(range(SOURCES)), 1, None):
        tokens = [TEXT + n * TOKENS + token for n in order for token in range(TOKENS)]
        pool = np.array([*range(TEXT), *tokens])
        moved = {name: value[:, order] for name, value in usual.items()}
        boxes = of_all(MOVING[list(order)])
        found = attend(q, k[:, pool], v[:, pool], contexts([locating] * 2, boxes=boxes, **moved), GRID)
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_equal_boxes_share_their_pixels(qkv):
    boxes = of_all(np.broadcast_to(np.float32([0, 0, 1, 1]), (SOURCES, FRAMES, 4)))
    active = of_all([True, False, True])
    found = attend(*qkv, contexts([False, False], boxes=boxes, active=active), GRID)
    q, k, v = (np.asarray(x, np.float64) for x in qkv)
    close(found, [own_context(q[f], k[f], v[f], [0, 2], 0) for f in range(ROWS * FRAMES)])


def test_a_background_source_has_all_pixels_without_a_box_of_their_own(qkv):
    """Its own box means nothing: here it is that of the small box in the middle."""
    found = attend(*qkv, contexts([False, False], background=of_all([False, False, True])), GRID)
    q, k, v = (np.asarray(x, np.float64) for x in qkv)
    for frame in range(FRAMES):
        boxed = covered[:2, frame].reshape(2, PIXELS)
        background = own_context(q[frame], k[frame], v[frame], [2], 0)
        close(found[frame][~boxed.any(0)], background[~boxed.any(0)])
        only_first = own_context(q[frame], k[frame], v[frame], [0], 0)
        close(found[frame][boxed[0] & ~boxed[1]], only_first[boxed[0] & ~boxed[1]])


def test_a_background_source_is_neither_pulled_nor_pushed(qkv):
    found = attend(*qkv, contexts([True, True], background=of_all([False, True, False])), GRID)
    close(found, [located_by_hand(qkv, row, PAPER, background=[1]) for row in range(ROWS)], atol=1e-4)


def test_fixed_boxes_take_the_place_of_the_given_ones(qkv):
    fixed = tuple(map(tuple, MOVING[:, 0].tolist()))
    options = dataclasses.replace(PAPER, locate_boxes=fixed, denoise_boxes=fixed)
    standing = of_all(np.repeat(MOVING[:, :1], FRAMES, 1))
    found = attend(*qkv, contexts([False, True], options), GRID)
    np.testing.assert_allclose(found, attend(*qkv, contexts([False, True], boxes=standing), GRID), atol=1e-6)


def test_bfloat16_is_near_float32(qkv):
    given = contexts([False, True])
    half = attend(*(x.astype(jnp.bfloat16) for x in qkv), given, GRID)
    full = attend(*(x.astype(jnp.bfloat16).astype(jnp.float32) for x in qkv), given, GRID)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), full, atol=2e-2 * float(jnp.abs(full).max()))


def test_it_maps_over_further_axes(qkv):
    """Each element of the mapped axis has its own phase, so both ways are computed and selected."""
    given = contexts([False, True])
    stacked = jax.tree.map(lambda leaf: leaf[:, None], given)
    parts = [x.reshape(ROWS, FRAMES, *x.shape[1:]) for x in qkv]
    found = jax.jit(jax.vmap(lambda q, k, v, c: mosaic_attention(q, k, v, c, GRID)))(*parts, stacked)
    close(found.reshape(ROWS * FRAMES, *found.shape[2:]), attend(*qkv, given, GRID))
