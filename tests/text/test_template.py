"""Prompts are worded as the released model's examples are."""

import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.text.template import scene_prompt

SCENE = "A kitchen in the morning."


def test_one_person_speaks():
    assert scene_prompt(SCENE, ["a man in a red coat"], [1]) == (
        "One person conversation. Persons: Person1: a man in a red coat. Person1 is speaking. "
        "Scene Description: A kitchen in the morning."
    )


def test_one_of_two_speaks():
    assert scene_prompt(SCENE, ["A man.", "A woman with grey hair"], [2]) == (
        "Two person conversation. Persons: Person1: A man. Person2: A woman with grey hair. "
        "Person2 is speaking. Scene Description: A kitchen in the morning."
    )


def test_both_speak_in_the_order_of_their_numbers():
    assert "Person1 and Person2 are speaking." in scene_prompt(SCENE, ["a", "b"], [2, 1])


def test_without_speech_no_person_is_described():
    assert scene_prompt(SCENE, ["a man"]) == f"No conversation. Scene Description: {SCENE}"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("", ["a"], [1]), "scene"),
        ((SCENE, ["a"], [2]), r"speaking 2: there are 1 person"),
        ((SCENE, ["a"] * 10, [1]), "at most 9"),
    ],
)
def test_errors_are_named(args, message):
    with pytest.raises(UserError, match=message):
        scene_prompt(*args)
