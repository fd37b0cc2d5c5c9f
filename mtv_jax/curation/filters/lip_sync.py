"""Voice-over: whether the voices of a clip belong to mouths that are seen (`mtv_jax.curation.people.sync`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mtv_jax.curation.people.mouths import Mouth
from mtv_jax.curation.people.sync import Voice, agreement, near, voice_of
from mtv_jax.curation.roles import Evidence, not_applicable, scores

Turns = Sequence[Sequence[Any]]
"""Start and end, seconds from the clip's first frame, and name of the speaker."""
_AROUND = 0.25
"""Seconds before and after a turn that count too: mouths open before a voice is heard."""
_LUCK = 0.05
"""The best of n faces must agree better by `_LUCK` log n: among many, one agrees by chance."""
_FAR = 0.25
"""Seconds of shift from which a voice is out of sync; in between, a peak at no shift still has its slopes."""
_SHORTEST = 1.0
"""Seconds of speech; less says nothing: half a second of a real voice and its own mouth has agreed by .03."""
_LOWEST_FPS = 20.0
"""Frames a second; with fewer, movements of a mouth are too fast to be followed: at 12 a real voice and its own mouth
have agreed by -.19 to .10, at 30 by .33 to .37."""


def lip_sync_scores(
    mouths: Sequence[Mouth | None],
    samples: np.ndarray,
    sample_rate: int,
    turns: Turns,
    fps: float,
    frames: int,
) -> Evidence:
    """How well the voices agree with the mouths that fit each of them best.

    Each speaker is given the face whose mouth agrees best with the sound of all of his turns. `sync` is the mean of
    these agreements by seconds of speech, -1 to 1; `speakers` has each, with the number of the track and, to see why,
    `near`, the best agreement at shifts that are in sync, `far`, that at others, and `shift`, seconds, of the best of
    all (positive: the sound is late). Agreement in sync counts for less by as much as another shift is better.

    Args:
      mouths: of the tracks.
      samples: the separated speech of the clip, [s].
      sample_rate: Hz.
      turns: who speaks when.
      fps, frames: of the clip.
    """
    if fps < _LOWEST_FPS:
        return not_applicable(
            f"{fps:g} frames a second are too few to follow a mouth; {_LOWEST_FPS:g} are needed"
        )
    seen = {number: mouth for number, mouth in enumerate(mouths) if mouth is not None}
    voice = voice_of(samples, sample_rate, fps, frames)
    speakers = [_speaker(seen, voice, own, fps, frames) for own in _by_speaker(turns)] if seen else []
    judged = [speaker for speaker in speakers if speaker is not None]
    if not judged:
        return not_applicable("no mouth is seen" if not seen else "too little speech while a mouth is seen")
    total = sum(speaker["seconds"] for speaker in judged)
    sync = sum(speaker["seconds"] * speaker["sync"] for speaker in judged) / total
    return scores(sync=round(sync, 4), speakers=judged)


def _by_speaker(turns: Turns) -> Iterable[Turns]:
    return [[turn for turn in turns if turn[2] == who] for who in sorted({turn[2] for turn in turns})]


def _speaker(
    mouths: Mapping[int, Mouth], voice: Voice, turns: Turns, fps: float, frames: int
) -> dict[str, Any] | None:
    """The face that fits the turns of a speaker; None if there is too little to tell."""
    seconds = sum(turn[1] - turn[0] for turn in turns)
    if seconds < _SHORTEST:
        return None
    times = (np.arange(frames) + 0.5) / fps
    counted = np.any(
        [(times >= start - _AROUND) & (times < end + _AROUND) for start, end, _ in turns], axis=0
    )
    curves = {number: agreement(mouth, voice, fps, counted) for number, mouth in mouths.items()}
    peaks = {
        number: _peaks(curve, fps) for number, curve in curves.items() if np.isfinite(near(curve, fps)).any()
    }
    if not peaks:
        return None
    track = max(peaks, key=lambda number: peaks[number]["sync"])
    found = {"track": track, "seconds": seconds, **peaks[track]}
    found["sync"] -= _LUCK * float(np.log(len(mouths)))
    return {key: round(value, 4) for key, value in found.items()}


def _peaks(curve: np.ndarray, fps: float) -> dict[str, float]:
    """`sync` of one face, and what it is made of."""
    middle = len(curve) // 2
    shifts = np.arange(-middle, middle + 1) / fps
    others = curve[(np.abs(shifts) > _FAR) & np.isfinite(curve)]
    within, far = float(np.nanmax(near(curve, fps))), float(max(others, default=-1.0))
    best = float(shifts[np.nanargmax(curve)])
    return {"sync": within - max(0.0, far - within), "near": within, "far": far, "shift": best}
