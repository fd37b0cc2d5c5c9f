"""The diarisation error rate on cases whose errors are known."""

import pytest

from mtv_jax.audio.turns import Turn
from mtv_jax.evaluation.diarisation import DiarisationErrors, diarisation_errors
from mtv_jax.io.errors import UserError

TRUE = [Turn(0, 4, "a"), Turn(4, 10, "b")]


def errors(true, found, collar=0.0):
    measured = diarisation_errors(true, found, collar)
    return pytest.approx((measured.speech, measured.missed, measured.false_alarm, measured.confusion))


def test_names_do_not_matter():
    assert errors(TRUE, [Turn(0, 4, "b"), Turn(4, 10, "x")]) == (10, 0, 0, 0)


def test_missed_speech_false_alarms_and_confusion_are_told_apart():
    found = [Turn(0, 3, "x"), Turn(5, 8, "y"), Turn(8, 10, "x"), Turn(11, 12, "y")]
    assert errors(TRUE, found) == (10, 2, 1, 2)
    assert diarisation_errors(TRUE, found, 0).rate == pytest.approx(0.5)


def test_speakers_are_paired_so_that_errors_are_fewest():
    """One found voice is two people: it counts as the one who speaks more, not the first."""
    assert errors(TRUE, [Turn(0, 10, "x")]) == (10, 0, 0, 4)
    # The largest overlap alone (x with b, 5 s) would leave only 1 s for y with a; the other pairing has 4 + 4.
    true = [Turn(0, 4, "a"), Turn(4, 9, "b"), Turn(9, 13, "b")]
    found = [Turn(0, 4, "x"), Turn(4, 9, "x"), Turn(9, 13, "y")]
    assert errors(true, found) == (13, 0, 0, 5)


def test_overlaps_count_for_each_speaker():
    true = [Turn(0, 4, "a"), Turn(2, 6, "b")]
    assert errors(true, [Turn(0, 3, "x"), Turn(3, 6, "y")]) == (8, 2, 0, 0)
    assert errors([Turn(0, 4, "a")], true) == (4, 0, 4, 0)
    assert errors(true, [Turn(2, 4, "x"), Turn(2, 4, "y"), Turn(2, 4, "z")]) == (8, 4, 2, 0)


def test_turns_of_one_speaker_that_overlap_are_one():
    assert errors([Turn(0, 3, "a"), Turn(2, 5, "a")], [Turn(0, 5, "x")]) == (5, 0, 0, 0)


def test_the_collar_leaves_out_both_sides_of_true_ends_only():
    found = [Turn(0.2, 4.2, "x"), Turn(4.2, 9, "y")]
    assert errors(TRUE, found, 0.25) == (9, 0.75, 0, 0)
    # An end of a found turn has no collar: what is missed in the middle counts.
    assert errors([Turn(0, 4, "a")], [Turn(0, 2, "x"), Turn(3, 4, "x")], 0.25) == (3.5, 1, 0, 0)


def test_nothing_found_and_nothing_said():
    assert errors(TRUE, []) == (10, 10, 0, 0)
    assert errors([], [Turn(1, 2, "x")]) == (0, 0, 1, 0)
    assert errors([], []) == (0, 0, 0, 0)
    with pytest.raises(UserError, match="no true turn"):
        _ = diarisation_errors([], [], 0).rate


def test_errors_of_several_sounds_add_up():
    total = DiarisationErrors(10, 1, 2, 3) + DiarisationErrors(2, 0, 0, 0)
    assert total == DiarisationErrors(12, 1, 2, 3)
    assert total.rate == 0.5
