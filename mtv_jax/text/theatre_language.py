"""The language of the theatre's prompts: their forms, their words, examples, and how a prompt is parsed to a plan.

The preset `tiny` was trained on prompts that `mtv_jax.theatre` and the paper's template make of clips. This module
describes them to a person and reads them back.
"""

import re

from mtv_jax.io.errors import UserError
from mtv_jax.text.template import scene_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, ClipPlan, TheatreConfig, Words, plan_clip
from mtv_jax.theatre.clip import COUNTS, describe
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
"""Values of each word that the forms have in capitals."""

_LOOK = "SKIN skin, STYLE HAIR hair, SHIRT shirt"
_STAGE = "A stage with a PROP PLACE, DECOR behind."
_COUNTS = {word.lower(): number for number, word in enumerate(COUNTS)}
_EXAMPLES = 40
"""Number of clips of the theatre that examples are taken from."""


def forms() -> list[str]:
    """The form of a prompt with one speaker, with two persons, and without speech."""
    return [
        scene_prompt(_STAGE, (_LOOK,), (1,)),
        scene_prompt(_STAGE, (_LOOK, _LOOK), (2,)),
        scene_prompt(f"{_STAGE} One silent person: {_LOOK}."),
        scene_prompt(_STAGE),
    ]


def theatre_prompt(words: Words) -> str:
    """The prompt of a clip's words, in the paper's template."""
    return scene_prompt(words.scene, words.persons, words.speaking)


def examples() -> list[str]:
    """A prompt for no, one and two persons, as clips of the theatre have them."""
    found: dict[int, str] = {}
    for index in range(_EXAMPLES):
        plan = plan_clip(EVALUATION_SEEDS, index)
        if plan.prop is not None:
            words = describe(plan)
            found.setdefault(len(words.persons), theatre_prompt(words))
    return [found[count] for count in sorted(found)]


def plan_of_prompt(prompt: str, config: TheatreConfig) -> ClipPlan:
    """Parses a prompt of one of the `forms` to a plan: who stands where, and who speaks. Nothing is struck.

    Raises UserError for a prompt of another form, and if more speak than `config` has tracks for.
    """
    found = re.fullmatch(_pattern(), " ".join(prompt.split()), re.IGNORECASE)
    parts = found.groupdict() if found else {}
    looks = [_look(text) for text in re.findall(_look_pattern(), prompt, re.IGNORECASE)]
    count = _COUNTS.get((parts.get("persons") or parts.get("silent") or "").lower(), 0)
    speakers = tuple(sorted({int(number) - 1 for number in re.findall(r"\d", parts.get("who") or "")}))
    if not found or len(looks) != count or any(speaker >= count for speaker in speakers):
        raise UserError(
            f"prompt {prompt!r}: not as the theatre's are; one is: {examples()[1]!r} "
            "(`python -m mtv_jax.sample --preset tiny --describe` has all words)"
        )
    if len(speakers) > config.num_speakers:
        raise UserError(
            f"prompt {prompt!r}: {len(speakers)} speak, and there are tracks for {config.num_speakers}"
        )
    prop = _prop(prompt, parts["prop"], parts["place"], count)
    return ClipPlan(
        seed=EVALUATION_SEEDS,
        index=0,
        config=config,
        actors=tuple(Actor(*pair) for pair in zip(looks, head_places(count, prop), strict=True)),
        speakers=speakers,
        prop=prop,
        mood=None,
        timbre=TIMBRES[0],
        decor=parts["decor"].lower(),
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
    counts, further = "|".join(COUNTS[1:]), len(COUNTS) - 2
    persons = "".join(rf"(?: Person{number}: {look}\.)?" for number in range(2, len(COUNTS)))
    who = rf"(?P<who>Person\d(?:, Person\d){{0,{further}}}(?: and Person\d)?) (?:is|are)"
    talk = (
        rf"(?P<persons>{counts}) person conversation\. Persons: Person1: {look}\.{persons} {who} speaking\. "
    )
    silent = rf"(?: (?P<silent>{counts}) silent persons?: {look}(?:; {look}){{0,{further}}}\.)?"
    stage = rf"A stage(?: with a (?P<prop>{prop}) (?P<place>{place}))?, (?P<decor>{decor}) behind\."
    return rf"(?:{talk}|No conversation\. )Scene Description: {stage}{silent}"
