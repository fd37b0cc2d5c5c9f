"""What to generate of theatre clips, and what is seen of it: cases, their variants, and what readers make of frames.

A `Case` is a clip to be generated: the text of one, and each track of that one, of another one, or silence. What makes
frames of cases is the caller's: a pipeline, or the theatre itself (`performed`), which is the best that can be done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtv_jax.evaluation.theatre_readers import Looks, Readers, mood_of
from mtv_jax.theatre import TheatreClip, render_frames
from mtv_jax.theatre.sounds import Performance
from mtv_jax.typing import TRACKS


@dataclass(frozen=True)
class Case:
    """A clip to be generated.

    Attributes:
      clip: whose text and places it has, and what is expected of it.
      speech, effects, music: the clip whose track is heard; None: silence.
      text: the clip whose text is given.
      seed: of the noise.
    """

    clip: TheatreClip
    speech: TheatreClip | None
    effects: TheatreClip | None
    music: TheatreClip | None
    text: TheatreClip
    seed: int

    @property
    def tracks(self) -> dict[str, np.ndarray]:
        """Waves of the three tracks, 16 kHz."""
        clips = {name: getattr(self, name) for name in TRACKS}
        return {
            name: np.zeros_like(self.clip.tracks[name]) if clip is None else clip.tracks[name]
            for name, clip in clips.items()
        }


@dataclass(frozen=True)
class Seen:
    """What readers see in a case's frames, and which case it was."""

    case: Case
    openings: np.ndarray
    events: tuple[int, ...]
    mood: tuple[float, float]
    looks: Looks


Sample = dict[str, Seen]
"""What is seen of one clip under each variant of `variants`."""


def variants(clips: Sequence[TheatreClip], seed: int) -> list[dict[str, Case]]:
    """For each clip: itself (`own`), with one track of another clip (`other_<track>`), without speech, and with
    the text of another clip (`other_text`). The others are the next that have such a track; where there is none, or
    the clip itself has none, the variant is left out."""
    cases = []
    for number, clip in enumerate(clips):
        own = Case(clip, clip, clip, clip, clip, seed)
        rest = [*clips[number + 1 :], *clips[:number]]
        found = {"own": own}
        for track in TRACKS:
            other = next((c for c in rest if has_track(c, track)), None)
            if other is not None and has_track(clip, track):
                found[f"other_{track}"] = replace(own, **{track: other})
        if clip.plan.speaker is not None:
            found["silent_speech"] = replace(own, speech=None)
        if rest:
            found["other_text"] = replace(own, text=rest[0])
        cases.append(found)
    return cases


def see(readers: Readers, case: Case, frames: np.ndarray) -> Seen:
    """Reads the frames of a case."""
    plan = case.clip.plan
    return Seen(
        case,
        readers.openings(frames, plan),
        readers.event_frames(frames, plan),
        mood_of(frames),
        readers.looks(frames, plan),
    )


def performed(case: Case) -> np.ndarray:
    """What the theatre itself shows for the tracks and the text of a case: uint8 [F H W 3]."""
    plan = case.text.plan
    if plan.prop:
        struck = case.effects.plan.prop if case.effects else None
        plan = replace(plan, prop=replace(plan.prop, onsets=struck.onsets if struck else ()))
    silence = np.zeros(plan.config.num_frames)
    envelope = case.speech.truth.envelope if case.speech else silence
    mood = case.music.plan.mood if case.music else None
    return render_frames(plan, Performance({}, envelope, mood))


def has_track(clip: TheatreClip, track: str) -> bool:
    """Whether anything is heard on it."""
    return bool(np.any(clip.tracks[track]))
