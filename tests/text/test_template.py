"""Prompts are worded as the released model's examples are."""

import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.text.template import Described, persons_in, read_prompt, scene_prompt

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


@pytest.mark.parametrize(
    ("persons", "speaking"),
    [(("a man.",), (1,)), (("a.", "b.", "Mr. c."), (1, 2, 3)), (("a.", "b."), (2,)), ((), ())],
)
def test_a_prompt_is_read_back(persons, speaking):
    assert read_prompt(scene_prompt(SCENE, persons, speaking)) == Described(SCENE, persons, speaking)


@pytest.mark.parametrize(
    "prompt",
    [
        "A kitchen.",
        "Two person conversation. Persons: Person1: a. Person1 is speaking. Scene Description: b.",
        "One person conversation. Scene Description: b.",
    ],
)
def test_a_prompt_of_another_form_is_not_read(prompt):
    assert read_prompt(prompt) is None


def test_persons_are_found_in_any_prompt():
    assert persons_in(scene_prompt(SCENE, ["a", "b", "c"], [2, 3])) == (1, 2, 3)
    assert persons_in(
        "Person2 answers Person12, then (Person1) laughs; aPerson3, Person0 and Persons do not"
    ) == (1, 2, 12)
    assert persons_in("two people talk") == ()
