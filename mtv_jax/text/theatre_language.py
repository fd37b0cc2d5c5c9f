"""The sentences of the theatre's prompts: their form, their words, examples, and the plan that a prompt tells.

What the preset `tiny` was trained on is put into words by `mtv_jax.theatre` and the paper's template; this says
the same to a person, and reads it back.
"""

import re

from mtv_jax.io.errors import UserError
from mtv_jax.text.template import scene_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, ClipPlan, TheatreConfig, plan_clip
from mtv_jax.theatre.clip import describe
from mtv_jax.theatre.plan import (
    HAIRS,
    PROPS,
    SHIRTS,
    SKINS,
    STYLES,
    TIMBRES,
    Actor,
    Look,
    Prop,
    head_places,
    prop_places,
)
from mtv_jax.theatre.stage import DECORS

WORDS = {
    "SKIN": tuple(SKINS),
    "STYLE": STYLES,
    "HAIR": tuple(HAIRS),
    "SHIRT": tuple(SHIRTS),
    "PROP": PROPS,
    "PLACE": ("on the left", "on the right", "in the middle"),
    "DECOR": DECORS,
}
"""What stands for each word in capitals of the forms."""

_LOOK = "SKIN skin, STYLE HAIR hair, SHIRT shirt"
_STAGE = "A stage with a PROP PLACE, DECOR behind."
_EXAMPLES = 40
"""Clips of the theatre that examples are looked for in."""


def forms() -> list[str]:
    """The form of a prompt with one speaker, with two persons, and without speech."""
    return [
        scene_prompt(_STAGE, (_LOOK,), (1,)),
        scene_prompt(_STAGE, (_LOOK, _LOOK), (2,)),
        scene_prompt(f"{_STAGE} One silent person: {_LOOK}."),
        scene_prompt(_STAGE),
    ]


def examples() -> list[str]:
    """A prompt for no, one and two persons, as clips of the theatre have them."""
    found: dict[int, str] = {}
    for index in range(_EXAMPLES):
        plan = plan_clip(EVALUATION_SEEDS, index)
        if plan.prop is not None:
            words = describe(plan)
            prompt = scene_prompt(words.scene, words.persons, words.speaking)
            found.setdefault(len(words.persons), prompt)
    return [found[count] for count in sorted(found)]


def plan_of_prompt(prompt: str, config: TheatreConfig) -> ClipPlan:
    """The plan that a prompt of one of the `forms` tells: who stands where, who speaks; nothing is struck.

    Raises UserError for a prompt of another form.
    """
    found = re.fullmatch(_pattern(), " ".join(prompt.split()), re.IGNORECASE)
    told = found.groupdict() if found else {}
    looks = [_look(text) for text in re.findall(_look_pattern(), prompt, re.IGNORECASE)]
    numbers = {"one": 1, "two": 2}
    count = numbers.get((told.get("persons") or told.get("silent") or "").lower(), 0)
    speaker = int(told["speaker"]) - 1 if told.get("speaker") else None
    if not found or len(looks) != count or (speaker is not None and speaker >= count):
        raise UserError(
            f"prompt {prompt!r}: not as the theatre's are; one is: {examples()[1]!r} "
            "(`python -m mtv_jax.sample --preset tiny --describe` has all words)"
        )
    prop = _prop(prompt, told["prop"], told["place"], count)
    return ClipPlan(
        seed=EVALUATION_SEEDS,
        index=0,
        config=config,
        actors=tuple(Actor(*pair) for pair in zip(looks, head_places(count, prop), strict=True)),
        speaker=speaker,
        prop=prop,
        mood=None,
        timbre=TIMBRES[0],
        decor=told["decor"].lower(),
    )


def _prop(prompt: str, name: str | None, place: str | None, count: int) -> Prop | None:
    if name is None or place is None:
        return None
    side, places = place.lower().split()[-1], prop_places(count)
    if side not in places:
        raise UserError(
            f"prompt {prompt!r}: with {count} person(s) the {name} is {' or '.join(places)}, not {side}"
        )
    return Prop(name.lower(), places[side], side, ())


def _look(words: tuple[str, ...]) -> Look:
    skin, style, hair, shirt = (word.lower() for word in words)
    return Look(skin, hair, style, shirt)


def _look_pattern() -> str:
    skin, style, hair, shirt = ("|".join(WORDS[name]) for name in ("SKIN", "STYLE", "HAIR", "SHIRT"))
    return rf"({skin}) skin, ({style}) ({hair}) hair, ({shirt}) shirt"


def _pattern() -> str:
    look = re.sub(r"\((?!\?)", "(?:", _look_pattern())
    prop, place, decor = ("|".join(WORDS[name]) for name in ("PROP", "PLACE", "DECOR"))
    talk = (
        rf"(?P<persons>One|Two) person conversation\. Persons: Person1: {look}\.(?: Person2: {look}\.)? "
        r"Person(?P<speaker>[12]) is speaking\. "
    )
    silent = rf"(?: (?P<silent>One|Two) silent persons?: {look}(?:; {look})?\.)?"
    stage = rf"A stage(?: with a (?P<prop>{prop}) (?P<place>{place}))?, (?P<decor>{decor}) behind\."
    return rf"(?:{talk}|No conversation\. )Scene Description: {stage}{silent}"
