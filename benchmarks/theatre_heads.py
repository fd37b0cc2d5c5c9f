"""Finds the drawn heads of the theatre in its pictures, where networks for faces see nobody: a PersonDetector.

    python -m mtv_jax.curate run ... --config.person_detector='jsonl:python benchmarks/theatre_heads.py'

It speaks the protocol of `mtv_jax/curation/adapters/jsonl_people.py`. A linear discriminant says which of the theatre's
five arrangements of heads a clip shows; the middle of the skin in each frame says where the heads have moved to. Both
know the theatre's geometry and nothing of the clip but its pixels; the discriminant is fitted when the program starts,
on clips of a seed that neither training nor evaluation uses.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.audio.separation.base import ModelCard
from mtv_jax.evaluation.theatre.crops import crop
from mtv_jax.evaluation.theatre.readers import Classifier, fitting_clips
from mtv_jax.faces.tracks import Face, to_json
from mtv_jax.io.video import iter_frames, probe
from mtv_jax.theatre.paint import Canvas
from mtv_jax.theatre.plan import Place

CARD = ModelCard("heads of the theatre", "1", "Apache-2.0", None, "learned here")
CLIPS = 300
"""That the arrangements are fitted on."""
LANDMARKS = np.array([[-0.42, -0.1], [0.42, -0.1], [0, 0.2], [-0.56, 0.42], [0.56, 0.42]])
"""Of a drawn head, in halves of its width and height from its middle (`mtv_jax/theatre/actors.py`)."""
_GRID = 12
_CELLS = 24
"""Of a head, by which its movement is measured."""
_SKIN = 40.0
"""Distance in colour up to which a pixel is skin."""


class Heads:
    """PersonDetector for the theatre."""

    @cached_property
    def _arrangements(self) -> Classifier:
        clips = fitting_clips(CLIPS)
        return Classifier(
            np.stack([_picture(clip.frames) for clip in clips]),
            [arrangement([actor.place for actor in clip.plan.actors]) for clip in clips],
        )

    def find(self, frames: np.ndarray) -> list[list[dict[str, Any]]]:
        """Of frames [n H W 3], the people in each (`mtv_jax.curation.roles.PersonDetector`)."""
        height, width = frames.shape[1:3]
        found: list[list[dict[str, Any]]] = [[] for _ in frames]
        for place in places(self._arrangements(_picture(frames))):
            for people, middle in zip(found, _middles(frames, place), strict=True):
                people.append(to_json(_face(place, middle, height, width), width, height))
        return found


def arrangement(heads: list[Place]) -> str:
    """The name of where heads are: their middles and sizes."""
    return " ".join(f"{p.x:g},{p.y:g},{p.half_width:g},{p.half_height:g}" for p in heads)


def places(name: str) -> list[Place]:
    """The inverse of `arrangement`."""
    return [Place(*map(float, head.split(","))) for head in name.split()]


def _picture(frames: np.ndarray) -> np.ndarray:
    """The stage, small; the median over time leaves out what happens in few frames."""
    return np.median(crop(frames, (0, 0, 64, 64), (_GRID, _GRID)), axis=0).ravel()


def _middles(frames: np.ndarray, place: Place) -> np.ndarray:
    """The middle of a head in each frame, [n, 2] in stage units: its skin moves about its place."""
    w, h = place.half_width, place.half_height
    near = crop(frames, (place.x - 1.1 * w, place.y - h, place.x + 1.1 * w, place.y + h), (_CELLS, _CELLS))
    skin = np.median(
        near[:, _CELLS // 2 : _CELLS * 2 // 3, _CELLS // 4 : _CELLS * 3 // 4].reshape(-1, 3), axis=0
    )
    weights = np.abs(near - skin).max(axis=-1) < _SKIN
    total = np.maximum(weights.sum(axis=(1, 2)), 1)
    offsets = (np.arange(_CELLS) + 0.5) / _CELLS * 2 - 1
    x = (weights.sum(axis=1) @ offsets) / total * 1.1 * w
    y = (weights.sum(axis=2) @ offsets) / total * h
    return np.stack([place.x + x, place.y + y - np.median(y)], axis=1)


def _face(place: Place, middle: np.ndarray, height: int, width: int) -> Face:
    half = np.array([place.half_width, place.half_height])
    canvas = Canvas(1, height, width)
    points = [middle - half, middle + half, *(middle + LANDMARKS * half)]
    pixels = np.stack([canvas.to_pixels(np.tile(point, 2))[:2] for point in points])
    return Face(pixels[:2].ravel(), pixels[2:], 1.0)


def answer(heads: Heads, question: Mapping[str, Any]) -> dict[str, Any]:
    """To a line: the card, or the people of a clip."""
    if not question:
        return asdict(CARD)
    clip, fps = Path(question["clip"]), question["fps"]
    every = np.stack(list(iter_frames(clip)))
    sampled = np.arange(0, len(every), float(probe(clip).fps) / fps).astype(int)
    return {"people": heads.find(every[sampled])}


def main() -> None:
    heads = Heads()
    for line in sys.stdin:
        print(json.dumps(answer(heads, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
