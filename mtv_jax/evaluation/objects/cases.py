"""Mixes to draw: which sounds, where their sources belong, and what readers see of the result.

Each clip comes in variants: as it is; with the sounds of another clip in its boxes; with its boxes exchanged; and in
silence. The last three are controls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mtv_jax.evaluation.objects.readers import Seen, kind_in_box, read_things
from mtv_jax.evaluation.report.contact_sheet import Strip
from mtv_jax.theatre import EVALUATION_SEEDS
from mtv_jax.theatre.objects import KINDS, ObjectClip, ObjectsConfig, plan_objects, render_objects
from mtv_jax.theatre.objects.plan import Thing
from mtv_jax.typing import Float, UInt8

THINGS = (2, 3)
"""Numbers of things that a mix may have."""

OWN, OTHER_SOUNDS, OTHER_BOXES, SILENCE = "own", "other_sounds", "other_boxes", "silence"


@dataclass(frozen=True)
class Case:
    """A mix to draw.

    Attributes:
      clip: what the result is compared with.
      sounds: of each source, float32 [s] at 16 kHz, by a name.
      places: where each belongs, by the same names: left, top, right, bottom in shares of the frame.
      things: what makes each sound, by the same names; without those that are silenced.
      seed: of the noise.
    """

    clip: ObjectClip
    sounds: Mapping[str, Float[np.ndarray, "s"]]
    places: Mapping[str, Float[np.ndarray, "4"]]
    things: Mapping[str, Thing]
    seed: int


@dataclass(frozen=True)
class Look:
    """What is seen in the frames of a case: the kind that covers most of each place, by name, and every thing."""

    case: Case
    kinds: Mapping[str, str]
    things: Mapping[str, Seen]


def evaluation_clips(count: int, *, things: int, seed: int = 0, **fields: Any) -> list[ObjectClip]:
    """The first clips of `evaluation_clip`."""
    return [evaluation_clip(index, things=things, seed=seed, **fields) for index in range(count)]


def evaluation_clip(index: int, *, things: int, seed: int = 0, **fields: Any) -> ObjectClip:
    """A clip of two or three `things` and no background, from seeds that training never uses; no two things alike.

    Levels change from segment to segment, since nothing says what a source is that is silent throughout. `fields` are
    of `ObjectsConfig`: `num_frames`, `changes_at`. Raises ValueError for other numbers of things.
    """
    if things not in THINGS:
        raise ValueError(f"things {things}: must be one of {THINGS}")
    chances = (0.0, 0.0, float(things == 2), float(things == 3))
    config = ObjectsConfig(things=chances, background=0.0, steady=0.0, **fields)
    return render_objects(plan_objects(EVALUATION_SEEDS + seed, index, config))


def own_case(clip: ObjectClip, seed: int) -> Case:
    """A clip as it is, from a noise."""
    things = {thing.kind: thing for thing in clip.plan.things}
    return Case(clip, {kind: clip.sources[kind] for kind in clip.places}, clip.places, things, seed)


def variants(clips: Sequence[ObjectClip], seed: int, *, controls: bool = True) -> list[dict[str, Case]]:
    """The cases of each clip, by name. Other sounds are those of the next clip without any kind in common.

    If there is none, that variant is left out. Without `controls` there is the clip as it is, alone.
    """
    if not controls:
        return [{OWN: own_case(clip, seed)} for clip in clips]
    found = []
    for number, clip in enumerate(clips):
        own = own_case(clip, seed)
        cases = {OWN: own}
        rest = [*clips[number + 1 :], *clips[:number]]
        other = next((c for c in rest if not set(c.places) & set(clip.places)), None)
        if other is not None:
            sounds = dict(zip(clip.places, (other.sources[kind] for kind in other.places), strict=True))
            things = dict(zip(clip.places, other.plan.things, strict=True))
            cases[OTHER_SOUNDS] = replace(own, sounds=sounds, things=things)
        kinds = list(clip.places)
        cases[OTHER_BOXES] = replace(
            own, places=dict(zip(kinds, (clip.places[kind] for kind in kinds[1:] + kinds[:1]), strict=True))
        )
        silent = {kind: np.zeros_like(sound) for kind, sound in own.sounds.items()}
        cases[SILENCE] = replace(own, sounds=silent, things={})
        found.append(cases)
    return found


def performed(case: Case) -> UInt8[np.ndarray, "f h w 3"]:
    """The world's own frames for a case: the thing of each sound, in the place of the sound."""
    clip, shown = case.clip, []
    for name, thing in case.things.items():
        there = next(t for t in clip.plan.things if np.array_equal(clip.places[t.kind], case.places[name]))
        sizes = {key: getattr(there, key) for key in ("x", "y", "half_width", "half_height")}
        shown.append(replace(thing, **sizes))
    return render_objects(replace(clip.plan, things=tuple(shown))).frames


def see(case: Case, frames: UInt8[np.ndarray, "f h w 3"]) -> Look:
    """Reads the frames of a case."""
    kinds = {name: kind_in_box(frames, place) for name, place in case.places.items()}
    return Look(case, kinds, read_things(frames))


def strip_of(case: Case, frames: UInt8[np.ndarray, "f h w 3"]) -> Strip:
    """The frames with boxes, above the sounds of the sources in the colours of their things, for a contact sheet."""
    shown, (height, width) = frames.copy(), frames.shape[1:3]
    for place in case.places.values():
        left, top, right, bottom = (place * np.array([width - 1, height - 1] * 2)).round().astype(int)
        shown[:, [top, bottom], left : right + 1] = 255
        shown[:, top : bottom + 1, [left, right]] = 255
    colours = {kind: KINDS[kind] for kind in case.places}
    return Strip(shown, case.sounds, case.clip.plan.config.fps, colours)


def true_activity(look: Look) -> dict[str, Float[np.ndarray, "f"]]:
    """Activity in each frame of the things of the clip."""
    return {kind: look.case.clip.activity[kind] for kind in look.case.places if kind in KINDS}
