import logging

import pytest

from mtv_jax.io.notes import note, once_each


def test_notes_are_single_lines_and_repeated_outside_of_a_command(caplog):
    with caplog.at_level(logging.WARNING):
        note("two\nlines")
        note("two\nlines")
    assert caplog.messages == ["two lines"] * 2


def test_a_command_gives_each_note_once_and_the_next_one_again(caplog):
    def command():
        with once_each():
            note("a")
            note("b")
            note("a")
            raise ValueError("stop")

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(ValueError, match="stop"):
                command()
        note("a")
    assert caplog.messages == ["a", "b"] * 2 + ["a"]
