"""Captions without a describing model: what the detectors know, in the template."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mtv_jax.curation.captions.colours import brightness, colour_of, hair_and_clothes
from mtv_jax.curation.captions.frames import even_frames
from mtv_jax.curation.captions.known import Face, Known
from mtv_jax.curation.captions.music import RATE, is_lively
from mtv_jax.curation.captions.question import Answer
from mtv_jax.curation.roles import Evidence, ModelCard, scores
from mtv_jax.io.audio import read_audio
from mtv_jax.text.template import MOST_PERSONS

_FRAMES, _SIDE = 3, 256
_DARK, _BRIGHT = 0.25, 0.5
"""Mean luma below which a scene is called dark, and above which it is called bright."""
_STILL, _LIVELY = 0.3, 2.0
"""Optical flow, percent of the width in half a second: a talking head has about .5."""


class Detectors:
    """The prompt beside the film, if there is one, else the counts, colours and sounds that the other stages found.

    It does not recognise what it describes, so it is a stub: enough to try out training, and not to be released.
    """

    def card(self) -> ModelCard:
        """A stub."""
        return ModelCard("detectors", "1", "Apache-2.0", None, "stub")

    def caption(
        self, clip: Path, about: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
    ) -> Evidence:
        """A caption, of any clip."""
        if about.get("prompt"):
            return scores(prompt=about["prompt"])
        known = Known.of(about, evidence)
        frames = even_frames(clip, _FRAMES, _SIDE)
        chosen = participants(known)
        looks = [_look(frames, face) for face in chosen]
        others = [_look(frames, face) for face in known.faces if face not in chosen]
        scene = " ".join([_picture(frames, known), *_silent(others), *_sounds(clip.parent, known)])
        return scores(prompt=Answer(tuple(looks), tuple(range(1, len(looks) + 1)), scene).prompt)


def participants(known: Known) -> list[Face | None]:
    """Who speaks, as many as there are voices, from left to right; None: somebody who is not seen.

    Where it is not known who speaks, it is those whose faces are largest.
    """
    voices = known.voices if known.voices is not None else int("speech" in (known.heard or ()))
    ranked = sorted(known.faces, key=lambda face: (not face.speaks, -_area(face)))
    chosen = ranked[: min(voices, MOST_PERSONS)]
    unseen = [None] * (min(voices, MOST_PERSONS) - len(chosen))
    return [face for face in known.faces if face in chosen] + unseen


def _area(face: Face) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)


def _look(frames: Sequence[Image.Image], face: Face | None) -> str:
    if face is None:
        return "a person who is not seen"
    hair, clothes = hair_and_clothes(frames, face.box)
    parts = [f"{hair} hair"] if hair else []
    parts += [f"{clothes} clothes"] if clothes else []
    side = "on the left" if face.middle < 0.4 else "on the right" if face.middle > 0.6 else "in the middle"
    return f"a person {side}" + (f" with {' and '.join(parts)}" if parts else "")


def _picture(frames: Sequence[Image.Image], known: Known) -> str:
    light = brightness(frames)
    words = "dark" if light < _DARK else "bright" if light > _BRIGHT else "dim"
    colour = colour_of(frames, (0.0, 0.0, 1.0, 1.0))
    moving = ""
    if known.motion is not None:
        moving = (
            ", still" if known.motion < _STILL else ", with much motion" if known.motion > _LIVELY else ""
        )
    return f"A {words} scene, mostly {colour}{moving}."


def _silent(looks: Sequence[str]) -> list[str]:
    if not looks:
        return []
    count = "One silent person" if len(looks) == 1 else f"{len(looks)} silent persons"
    return [f"{count}: {'; '.join(looks)}."]


def _sounds(folder: Path, known: Known) -> list[str]:
    heard = known.heard or ()
    found = []
    if "music" in heard:
        lively = is_lively(read_audio(folder / "music.flac", RATE))
        found.append(f"{'Lively' if lively else 'Calm'} music plays.")
    if "effects" in heard:
        found.append("Sounds of things are heard.")
    return found
