"""What a vision-language model is asked of a clip, and how its answer becomes a prompt.

The model fills in the parts, and the template is written here, so that its wording is exact whatever the model: it is
what the networks were trained on. Models get no sound; what is known of voices is given to them as text
(`mtv_jax.curation.captions.known`).
"""

import json
from dataclasses import dataclass
from typing import Any

from mtv_jax.text.template import MOST_PERSONS, scene_prompt

# From left to right is an order that detected faces have too, so that an answer can be compared with them. Names and
# guesses are excluded, since a generator cannot learn them from the picture.
INSTRUCTION = (
    "These are frames of one video clip, in order. Describe it, as a caption from which a video generator learns. "
    "Answer with one JSON object and nothing else: "
    '{"participants": [{"appearance": "..."}], "speaking": [1], "scene": "..."}. '
    "participants: the people who take part in the conversation, from left to right, one entry each; appearance: one "
    "phrase with age, sex, hair and clothes as they are seen, without names. "
    "speaking: the numbers, counted from 1, of the participants who speak; empty if nobody does. "
    "scene: one to four sentences about the place, what happens in it, everybody else who is seen, the light and the "
    "camera. Say only what is visible."
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "participants": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"appearance": {"type": "string"}},
                "required": ["appearance"],
                "additionalProperties": False,
            },
        },
        "speaking": {"type": "array", "items": {"type": "integer"}},
        "scene": {"type": "string"},
    },
    "required": ["participants", "speaking", "scene"],
    "additionalProperties": False,
}
"""JSON schema of an answer, in the subset that servers can enforce (`strict` of OpenAI's structured outputs)."""


@dataclass(frozen=True)
class Answer:
    """What a model says of a clip: the appearance of each participant, the numbers of those who speak, the scene."""

    participants: tuple[str, ...]
    speaking: tuple[int, ...]
    scene: str

    @property
    def prompt(self) -> str:
        """In the template."""
        return scene_prompt(self.scene, self.participants, self.speaking)


def parse_answer(text: str) -> Answer:
    """Reads an answer; text around the JSON object, such as a fence or a model's reasoning, does not matter.

    Raises ValueError, with the reason in words for the model, if it is not as asked.
    """
    text = text.rpartition("</think>")[2]
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        raise ValueError("there is no JSON object in it")
    try:
        value = json.loads(text[begin : end + 1])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON ({error})") from error
    participants = tuple(_appearance(entry) for entry in _list(value, "participants"))
    if len(participants) > MOST_PERSONS:
        raise ValueError(
            f"there are {len(participants)} participants, and at most {MOST_PERSONS} are allowed"
        )
    speaking = _list(value, "speaking")
    for number in speaking:
        if type(number) is not int or not 1 <= number <= len(participants):
            raise ValueError(f"speaking has {number!r}, which is no number of a participant")
    return Answer(participants, tuple(sorted(set(speaking))), _text(value.get("scene"), "scene"))


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{key} is not a list")
    return found


def _appearance(entry: Any) -> str:
    if not isinstance(entry, dict):
        raise ValueError("a participant is not an object with an appearance")
    return _text(entry.get("appearance"), "appearance")


def _text(value: Any, name: str) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not text:
        raise ValueError(f"{name} is not a text")
    return text
