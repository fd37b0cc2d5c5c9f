"""Prompts and when they hold."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.timeline.grid import Grid, exact_seconds

PromptSpacing = Literal["even"]

Prompts = str | Sequence[str] | Sequence[tuple[float, str]]
"""One prompt, prompts to be spread over the video, or pairs of a second and a prompt."""


@dataclass(frozen=True)
class TimedPrompt:
    """A prompt, and the second from which it holds."""

    seconds: Fraction
    text: str


def check_prompt(prompt: str) -> None:
    """Raises UserError for a prompt that is blank or not valid UTF-8."""
    if not prompt.strip():
        raise UserError("prompt: is blank; describe the video")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = prompt.encode("utf-8", "backslashreplace").decode()
        raise UserError(f"prompt {shown[:60]!r}: is not UTF-8 at character {error.start}") from error


def texts_of(prompt: Prompts | Any) -> list[str]:
    """The texts of prompts, in order. Raises UserError for what is no text, or a blank one."""
    entries = [prompt] if isinstance(prompt, str) else list(prompt)
    texts = [entry if isinstance(entry, str) else _pair(entry)[1] for entry in entries]
    for text in texts:
        check_prompt(text)
    if not texts:
        raise UserError("prompt: is an empty list; describe the video")
    return texts


def timed_prompts(
    prompt: Prompts | Any, grid: Grid, spacing: PromptSpacing | Any = None
) -> list[TimedPrompt]:
    """The prompts of a video in order, the first at 0.

    `spacing` says how prompts without times are spread: `even` gives each the same time.

    Raises UserError for several prompts without times and without `spacing`, times that are outside the video, not in
    order or given twice, and if no prompt holds at 0.
    """
    texts = texts_of(prompt)
    entries = [prompt] if isinstance(prompt, str) else list(prompt)
    if all(isinstance(entry, str) for entry in entries):
        return _spread(texts, grid, spacing)
    if any(isinstance(entry, str) for entry in entries):
        raise UserError(
            "prompt: some have a time and some do not; give each one, such as (4.0, 'A woman ...')"
        )
    if spacing is not None:
        raise UserError(f"prompt_spacing {spacing!r}: is for prompts without times; these have some")
    times = [exact_seconds(second, f"prompt at {second}") for second, _ in map(_pair, entries)]
    _check_times(times, grid)
    return [TimedPrompt(second, text) for second, text in zip(times, texts, strict=True)]


def _pair(entry: Any) -> tuple[Any, str]:
    pair = isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) == 2
    if not pair or not isinstance(entry[1], str):
        raise UserError(f"prompt {entry!r}: must be a text, or a pair of a second and a text")
    return entry[0], entry[1]


def _spread(texts: Sequence[str], grid: Grid, spacing: Any) -> list[TimedPrompt]:
    if spacing not in (None, "even"):
        raise UserError(f"prompt_spacing {spacing!r}: is not known; the one way is 'even'")
    if len(texts) > 1 and spacing is None:
        raise UserError(
            f"prompt: {len(texts)} without times; say when each begins, such as (4.0, 'A woman ...'), or spread them "
            "by prompt_spacing='even'"
        )
    return [TimedPrompt(grid.duration * i / len(texts), text) for i, text in enumerate(texts)]


def _check_times(times: Sequence[Fraction], grid: Grid) -> None:
    for before, after in itertools.pairwise(times):
        if before == after:
            raise UserError(f"prompt at {float(after):g} s: two begin there; leave one out")
        if before > after:
            raise UserError(
                f"prompt at {float(after):g} s: comes after the one at {float(before):g} s; put them in order"
            )
    for time in times:
        if time < 0 or grid.frame_at(time) >= grid.num_frames:
            raise UserError(f"prompt at {float(time):g} s: the video has 0 to {float(grid.duration):.2f} s")
    if times[0] != 0:
        raise UserError(f"prompt at {float(times[0]):g} s: is the first; none holds at 0, so give one there")
