"""The forms of the papers' user studies. The criteria are the papers'; the wording is ours.

MTV (table 3): of the videos of several systems for one text and sound, which is best, by three criteria. 25
participants judged 50 texts. Maestro: four questions about each video, on a scale from 1 to 5; 20 videos a system.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mtv_jax.io.errors import UserError

Kind = Literal["best", "rating"]
LEAST, MOST = 1, 5
"""Ends of the rating scale."""


@dataclass(frozen=True)
class Question:
    """A question of a form: its id in answer files, the criterion, and what participants read."""

    id: str
    name: str
    text: str


@dataclass(frozen=True)
class Form:
    """A questionnaire.

    Attributes:
      kind: "best": a question is asked of a clip, and answered by one of its videos; "rating": it is asked of each
        video, and answered by a whole number from 1 to 5.
      ends: what the ends of the rating scale mean, said after each question.
    """

    id: str
    kind: Kind
    instructions: str
    questions: tuple[Question, ...]
    ends: str = ""


_COMMON = (
    "Please use headphones, in a quiet place, and set a comfortable volume before you begin. Play every video to its "
    "end, with sound, before you answer; you may play it again as often as you like. There are no right answers: "
    "follow your own impression. "
)

FORMS: Mapping[str, Form] = {
    form.id: form
    for form in (
        Form(
            "mtv",
            "best",
            _COMMON
            + "Each page shows several videos made from one text and one sound. For each question, choose "
            "the one video that does best, even if the difference is small.",
            (
                Question(
                    "semantic_consistency",
                    "semantic consistency",
                    "Content: which video best shows what the text describes and what you hear?",
                ),
                Question(
                    "motion_fluency",
                    "motion fluency",
                    "Motion: in which video do people and things move most smoothly and naturally?",
                ),
                Question(
                    "overall_preference",
                    "overall preference",
                    "Overall: which video do you like best, all things considered?",
                ),
            ),
        ),
        Form(
            "maestro",
            "rating",
            _COMMON
            + "Each page shows videos made from one sound. Answer four questions about each of them, on a "
            "scale from 1 to 5.",
            (
                Question(
                    "realism",
                    "realism",
                    "Does the video look real, with things that fit the place they are in?",
                ),
                Question(
                    "correspondence", "correspondence with the sound", "Does the video show what you hear?"
                ),
                Question(
                    "smoothness",
                    "smoothness of changes",
                    "When the sound changes, does the picture change with it, and smoothly?",
                ),
                Question("overall", "overall quality", "Do you like the video together with its sound?"),
            ),
            " (1: not at all, 5: very much)",
        ),
    )
}


def form_of(name: object) -> Form:
    """The form of an id. Raises UserError for an unknown one."""
    if not isinstance(name, str) or name not in FORMS:
        raise UserError(f"form {str(name)[:60]!r}: unknown; known are {', '.join(FORMS)}")
    return FORMS[name]
