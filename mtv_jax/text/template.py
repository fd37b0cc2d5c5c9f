"""How a scene is put into words for the text encoder (MTV section 4.3)."""

from collections.abc import Sequence

from mtv_jax.io.errors import UserError

_NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def scene_prompt(
    scene: str,
    persons: Sequence[str] = (),
    speaking: Sequence[int] = (),
) -> str:
    """The prompt of a scene: how many take part, what each looks like, who speaks, what is seen.

    Args:
      scene: what is seen, a sentence or more.
      persons: the appearance of each participant, in the order they are numbered from 1.
      speaking: numbers of those who speak in the clip; without any nobody is described.

    Raises:
      UserError: a speaker who is no participant, no scene, or more participants than there are words for.
    """
    if not scene.strip():
        raise UserError("scene: empty; say what is seen")
    absent = [number for number in speaking if not 1 <= number <= len(persons)]
    if absent:
        raise UserError(f"speaking {absent[0]}: there are {len(persons)} person(s), numbered from 1")
    if len(persons) >= len(_NUMBERS):
        raise UserError(f"{len(persons)} persons: at most {len(_NUMBERS) - 1}")
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
