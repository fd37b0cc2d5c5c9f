"""Labels are told apart as well as the sounds of their clips are."""

import numpy as np
import pytest

from mtv_jax.curation.filters.labels import area, labels_told_apart


@pytest.mark.parametrize(
    ("higher", "lower", "expected"),
    [
        ([2.0, 3.0], [0.0, 1.0], 1.0),
        ([0.0, 1.0], [2.0, 3.0], 0.0),
        ([1.0, 1.0], [1.0, 1.0, 1.0], 0.5),
        ([1.0, 3.0], [2.0, 2.0], 0.5),
        ([1.0, 2.0], [0.0, 1.0], 0.875),
    ],
)
def test_the_area_is_the_share_of_pairs_in_order(higher, lower, expected):
    assert area(np.array(higher), np.array(lower)) == expected


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_labels_of_like_sounds_are_the_ones_that_are_confused():
    """Twins sound alike whatever they are called; the sounds of the third point to its text."""
    rng = np.random.default_rng(0)
    texts = dict(zip(("dog barking", "dog bow-wow", "rain"), np.eye(8)[:3], strict=True))
    dog = np.eye(8)[0] + np.eye(8)[1]
    sounds = {
        "dog barking": unit(dog + 0.3 * rng.normal(size=(80, 8))),
        "dog bow-wow": unit(dog + 0.3 * rng.normal(size=(80, 8))),
        "rain": unit(np.eye(8)[2] + 0.3 * rng.normal(size=(60, 8))),
    }
    found = labels_told_apart(sounds, texts)
    assert found["dog barking"].nearest == "dog bow-wow"
    assert found["dog bow-wow"].nearest == "dog barking"
    assert found["dog barking"].auc == found["dog bow-wow"].auc == pytest.approx(0.5, abs=0.12)
    assert found["rain"].auc > 0.95
    # A text whose cosines are higher with every sound is no better name of any.
    louder = texts | {"rain": texts["rain"] + 0.5 * unit(sum(texts.values()))}
    assert labels_told_apart(sounds, louder)["dog barking"].auc == found["dog barking"].auc
    named = labels_told_apart(
        {**sounds, "dog bow-wow": unit(np.eye(8)[1] + 0.3 * rng.normal(size=(9, 8)))}, texts
    )
    assert named["dog bow-wow"].auc > 0.8


def test_one_label_is_told_apart_from_none():
    assert labels_told_apart({"rain": np.ones((3, 2))}, {"rain": np.ones(2)}) == {}
    assert labels_told_apart({}, {}) == {}


def test_sounds_that_are_near_to_every_text_are_no_nearer_to_one():
    """The sounds of a are nearer to both texts than those of b are, and still prefer their own, as those of b do."""
    sounds = {"a": np.array([[0.9, 0.8]] * 3), "b": np.array([[0.3, 0.4]] * 3)}
    found = labels_told_apart(sounds, {"a": np.eye(2)[0], "b": np.eye(2)[1]})
    assert (found["a"].auc, found["b"].auc) == (1.0, 1.0)
