"""The prompt template of MTV (section 4.3): written from its parts, and read back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.names import PERSON

_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")

_TEMPLATE = re.compile(
    r"(?:No conversation\.|"
    rf"(?P<count>{'|'.join(_NUMBERS[1:])}) person conversation\. Persons: (?P<persons>Person1: .*?\.) "
    r"(?P<who>Person\d(?:, Person\d)*(?: and Person\d)?) (?:is|are) speaking\.)"
    r" Scene Description: (?P<scene>.+)"
)

MOST_PERSONS = len(_NUMBERS) - 1
"""Participants that the template has a number word for."""


@dataclass(frozen=True)
class Described:
    """The parts of a prompt, as `scene_prompt` takes them."""

    scene: str
    persons: tuple[str, ...] = ()
    speaking: tuple[int, ...] = ()


def read_prompt(prompt: str) -> Described | None:
    """The parts of a prompt in the template (inverse of `scene_prompt`); None for one of another form."""
    found = _TEMPLATE.fullmatch(" ".join(prompt.split()))
    if found is None:
        return None
    if found["count"] is None:
        return Described(found["scene"])
    persons = tuple(re.split(r"(?:^| )Person\d: ", found["persons"])[1:])
    if len(persons) != _NUMBERS.index(found["count"]):
        return None
    return Described(found["scene"], persons, tuple(map(int, re.findall(r"\d", found["who"]))))


def persons_in(prompt: str) -> tuple[int, ...]:
    """Numbers of the persons that a prompt names (`Person1`, ...), in order; the prompt need not be in the template."""
    return tuple(sorted({int(number) for number in re.findall(rf"\b{PERSON}([1-9]\d*)\b", prompt)}))


def scene_prompt(
    scene: str,
    persons: Sequence[str] = (),
    speaking: Sequence[int] = (),
) -> str:
    """The prompt of a scene: number of participants, their appearance, who speaks, and the scene description.

    Args:
      scene: description of the scene, a sentence or more.
      persons: appearance of each participant, numbered from 1.
      speaking: numbers of the participants who speak in the clip; if empty, no participant is described.

    Raises:
      UserError: a speaker is not a participant, the scene is empty, or there are more participants than number words.
    """
    if not scene.strip():
        raise UserError("scene: empty; describe the scene")
    absent = [number for number in speaking if not 1 <= number <= len(persons)]
    if absent:
        raise UserError(f"speaking {absent[0]}: there are {len(persons)} person(s), numbered from 1")
    if len(persons) > MOST_PERSONS:
        raise UserError(f"{len(persons)} persons: at most {MOST_PERSONS}")
    if not speaking:
        return f"No conversation. Scene Description: {scene.strip()}"  # as the released examples; the paper: the scene
    entries = [f"Person{i}: {_sentence(look)}" for i, look in enumerate(persons, 1)]
    names = [f"Person{number}" for number in sorted(set(speaking))]
    who = f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"
    return (
        f"{_NUMBERS[len(persons)]} person conversation. Persons: {' '.join(entries)} {who} speaking. "
        f"Scene Description: {scene.strip()}"
    )


def _sentence(text: str) -> str:
    return text.strip().rstrip(".") + "."
