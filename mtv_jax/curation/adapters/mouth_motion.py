"""Who speaks, by whose mouth moves while somebody does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.roles import Evidence, ModelCard, scores
from mtv_jax.faces.tracks import SAMPLED_FPS

_TALKING = 0.1
"""Motion at which a mouth is as likely to talk as not, distances of the eyes a second: silent faces that listen are at
.05, talking ones at .2 to .25."""
_WINDOW = 0.5
"""Seconds to each side that motion is averaged over: who talks closes the mouth now and then."""


class MouthMotion:
    """ActiveSpeaker: motion m of a mouth, where there is speech, gives the score m / (m + `_TALKING`)."""

    def card(self) -> ModelCard:
        """It needs no weights."""
        return ModelCard("mouth motion and speech activity", "1", "Apache-2.0", None, "classical")

    def score(
        self,
        clip: Path,
        speech: Path,
        persons: Mapping[str, Any],
        mouths: Mapping[str, Any],
        turns: Sequence[Sequence[Any]],
    ) -> Evidence:
        """See `ActiveSpeaker`."""
        found = [
            _scores(np.array(track["frames"]) / SAMPLED_FPS, mouth, mouths["fps"], turns)
            for track, mouth in zip(persons["tracks"], mouths["tracks"], strict=True)
        ]
        return scores(scores=found)


def _scores(
    times: np.ndarray, mouth: Mapping[str, Any] | None, fps: float, turns: Sequence[Sequence[Any]]
) -> list[float]:
    if mouth is None:
        return [0.0] * len(times)
    heard = np.any([(times >= start) & (times < end) for start, end, _ in turns], axis=0)
    motion, first = np.array(mouth["motion"]), mouth["first"]
    found = []
    for time in times:
        middle, half = round(time * fps) - first, max(1, round(_WINDOW * fps))
        found.append(max(0.0, float(motion[max(0, middle - half) : max(1, middle + half + 1)].mean())))
    means = np.array(found)
    return (heard * means / (means + _TALKING)).round(4).tolist()
