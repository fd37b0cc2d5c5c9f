"""A model's answer becomes a prompt in the template, or it is told what is wrong with it."""

import json

import pytest

from mtv_jax.curation.captions.question import INSTRUCTION, SCHEMA, parse_answer

ANSWER = {"participants": [{"appearance": "a man,\n grey hair."}], "speaking": [1, 1], "scene": " A shop. "}


def test_an_answer_is_worded_by_the_template():
    assert parse_answer(json.dumps(ANSWER)).prompt == (
        "One person conversation. Persons: Person1: a man, grey hair. Person1 is speaking. "
        "Scene Description: A shop."
    )


@pytest.mark.parametrize(
    "around", ["```json\n{}\n```", "Here it is: {} Anything else?", "<think>{a}</think>{}"]
)
def test_text_around_the_object_does_not_matter(around):
    assert parse_answer(around.replace("{}", json.dumps(ANSWER))) == parse_answer(json.dumps(ANSWER))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I cannot help with that.", "no JSON object"),
        ('{"participants": [', "no JSON object"),
        ('{"participants": [}', "not valid JSON"),
        ("{" * 5000 + "}", "not valid JSON"),
        (json.dumps(ANSWER | {"participants": "a man"}), "participants is not a list"),
        (json.dumps(ANSWER | {"participants": ["a man"]}), "not an object"),
        (json.dumps(ANSWER | {"participants": [{"appearance": " "}]}), "appearance is not a text"),
        (json.dumps(ANSWER | {"participants": ANSWER["participants"] * 10}), "at most 9"),
        (json.dumps(ANSWER | {"speaking": [2]}), "speaking has 2"),
        (json.dumps(ANSWER | {"speaking": [True]}), "speaking has True"),
        (json.dumps(ANSWER | {"speaking": None}), "speaking is not a list"),
        (json.dumps({key: ANSWER[key] for key in ("participants", "speaking")}), "scene is not a text"),
    ],
)
def test_an_answer_in_another_form_is_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_answer(text)


def test_the_instruction_asks_for_what_the_schema_and_the_parser_know():
    example = INSTRUCTION[INSTRUCTION.index("{") : INSTRUCTION.rindex("}") + 1]
    assert set(json.loads(example)) == set(SCHEMA["required"]) == set(SCHEMA["properties"])
    assert parse_answer(example).speaking == (1,)
