"""Cases to generate from theatre clips, their variants, and what readers see in the frames.

A `Case` combines the text of one clip with tracks of the same clip, of others, or silence. The caller turns cases into
frames: with a pipeline, or with the theatre itself (`performed`), which gives the best figures that are possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtv_jax.evaluation.theatre.readers import Looks, Readers, mood_of
from mtv_jax.names import TRACKS, track_kind
from mtv_jax.theatre import TheatreClip, render_frames
from mtv_jax.theatre.sounds import Performance


@dataclass(frozen=True)
class Case:
    """A clip to generate.

    Attributes:
      clip: the clip that the result is compared with.
      speech, effects, music: the clip whose track is used (`speech`: those of all speakers); None: silence.
      text: the clip whose text is used.
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
        """Waves of all tracks of the theatre, 16 kHz."""
        clips = {name: getattr(self, track_kind(name)) for name in self.clip.plan.config.tracks}
        return {
            name: np.zeros_like(self.clip.tracks[name]) if clip is None else clip.tracks[name]
            for name, clip in clips.items()
        }


@dataclass(frozen=True)
class Seen:
    """What readers see in the frames of a case."""

    case: Case
    openings: np.ndarray
    events: tuple[int, ...]
    mood: tuple[float, float]
    looks: Looks


Sample = dict[str, Seen]
"""What is seen of one clip under each variant of `variants`."""


def variants(clips: Sequence[TheatreClip], seed: int) -> list[dict[str, Case]]:
    """The cases of each clip, by name.

    They are the clip itself (`own`), with one track of another clip (`other_<track>`), without speech
    (`silent_speech`), and with the text of another clip (`other_text`). The other clip is the next one that has such a
    track. A variant is left out if there is no such clip, or if the clip itself lacks the track.
    """
    cases = []
    for number, clip in enumerate(clips):
        own = Case(clip, clip, clip, clip, clip, seed)
        rest = [*clips[number + 1 :], *clips[:number]]
        found = {"own": own}
        for track in TRACKS:
            other = next((c for c in rest if has_track(c, track)), None)
            if other is not None and has_track(clip, track):
                found[f"other_{track}"] = replace(own, **{track: other})
        if clip.plan.speakers:
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
    """The theatre's own frames for the tracks and the text of a case: uint8 [F H W 3]."""
    plan = case.text.plan
    if plan.prop:
        struck = case.effects.plan.prop if case.effects else None
        plan = replace(plan, prop=replace(plan.prop, onsets=struck.onsets if struck else ()))
    envelopes = voices_of(case.speech) if case.speech else {}
    mood = case.music.plan.mood if case.music else None
    return render_frames(plan, Performance({}, envelopes, mood))


def voices_of(clip: TheatreClip) -> dict[str, np.ndarray]:
    """Loudness of each track of speech that is not silent, [F] in 0..1 (`mtv_jax.theatre.sounds.loudness`)."""
    return {track: clip.truth.openings[actor] for track, actor in clip.plan.voices.items()}


def clip_of(sample: Sample) -> TheatreClip:
    """The clip of a sample."""
    return sample["own"].case.clip


def key_of(sample: Sample) -> tuple[int, int]:
    """Identifies a sample of a theatre: the seed of the noise, and the index of the clip."""
    return sample["own"].case.seed, clip_of(sample).plan.index


def has_track(clip: TheatreClip, track: str) -> bool:
    """Whether any track of a kind is not silent."""
    return any(np.any(wave) for name, wave in clip.tracks.items() if track_kind(name) == track)
