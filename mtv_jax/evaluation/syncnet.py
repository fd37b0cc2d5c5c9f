"""A video's score by SyncNet: frames at 25 a second, faces followed within shots, crops and sound embedded."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from mtv_jax.evaluation.metrics.sync import LEAST_WINDOWS, SyncFailure, SyncScore, agreements
from mtv_jax.faces.crops import BoxTrack, FaceDetector, crops, find_boxes, follow
from mtv_jax.faces.cuts import find_cuts
from mtv_jax.io.audio import fit_length
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file
from mtv_jax.io.film import open_film
from mtv_jax.models.syncnet import SyncNet
from mtv_jax.models.syncnet.model import CONTEXT
from mtv_jax.models.syncnet.preprocessing import (
    FPS,
    SAMPLE_RATE,
    audio_windows,
    mfcc,
    nearest_frames,
    num_windows,
    to_int16,
    video_input,
)
from mtv_jax.typing import Params

BATCH = 16
"""Positions that are embedded at once."""


@dataclass(frozen=True)
class Towers:
    """The network's two functions.

    Attributes:
      video: frames [1, 20, 224, 224, 3] (`video_input`) to embeddings [1, 16, e].
      audio: windows [16, 13, 20] (`audio_windows`) to embeddings [16, e].
    """

    video: Callable[[np.ndarray], Any]
    audio: Callable[[np.ndarray], Any]


def towers(model: SyncNet, params: Params) -> Towers:
    """The compiled functions of a loaded network."""
    video = jax.jit(functools.partial(model.apply, method="video"))
    audio = jax.jit(functools.partial(model.apply, method="audio"))
    return Towers(functools.partial(video, params), functools.partial(audio, params))


def read_frames(path: Path) -> UInt8[np.ndarray, "F H W 3"]:
    """The frames of a video at 25 a second: for each point in time the nearest one (`nearest_frames`)."""
    starts, ends, pictures = [], [], []
    with open_film(existing_file(path)) as film:
        for begin, end, frame in film.shown():
            starts.append(float(begin))
            ends.append(float(end))
            pictures.append(film.display.show(frame, float(begin)))
    if not pictures:
        raise UserError(f"{path}: no frames")
    return np.stack([pictures[index] for index in nearest_frames(np.array(starts), ends[-1])])


def score(
    frames: UInt8[np.ndarray, "F H W 3"],
    sound: Float[np.ndarray, "s"],
    network: Towers,
    detector: FaceDetector,
) -> SyncScore | SyncFailure:
    """The score of a clip.

    Faces are followed within a shot. Every one that is followed for long enough is scored, and the one with the highest
    published confidence is taken, as the one who speaks.

    Args:
      frames: RGB, at 25 a second.
      sound: mono at 16 kHz, full scale +-1, which begins with the first frame.
    """
    samples = to_int16(sound)
    if not samples.any():
        return SyncFailure("no sound")
    tracks = follow([find_boxes(frame, detector) for frame in frames], find_cuts(frames, FPS))
    if not tracks:
        return SyncFailure("no face")
    scores = [found for track in tracks if (found := _score_track(frames, samples, track, network))]
    if not scores:
        return SyncFailure("too short")
    best = max(scores, key=lambda found: found.padded.confidence)
    return SyncScore(best.padded, best.valid, best.frames, len(scores))


def _score_track(
    frames: UInt8[np.ndarray, "F H W 3"], samples: Int[np.ndarray, "s"], track: BoxTrack, network: Towers
) -> SyncScore | None:
    """The score of one face; None if it is not followed for long enough, or the sound ends too early."""
    per_frame = SAMPLE_RATE // FPS
    heard = samples[track.start * per_frame : (track.start + len(track)) * per_frame]
    count = num_windows(len(track), len(heard))
    if count < LEAST_WINDOWS:
        return None
    pictures = crops(frames, track)[: count + CONTEXT - 1]
    padded, valid = agreements(embed_video(pictures, network), embed_audio(heard, count, network))
    return SyncScore(padded, valid, len(track), 1)


def embed_video(pictures: UInt8[np.ndarray, "f h w 3"], network: Towers) -> Float[np.ndarray, "n e"]:
    """The embeddings of every five successive crops: n = f - 4."""
    count = len(pictures) - CONTEXT + 1
    found = []
    for first in range(0, count, BATCH):
        part = pictures[first : first + BATCH + CONTEXT - 1]
        found.append(np.asarray(network.video(fit_length(video_input(part), BATCH + CONTEXT - 1)[None]))[0])
    return np.concatenate(found)[:count]


def embed_audio(samples: Int[np.ndarray, "s"], count: int, network: Towers) -> Float[np.ndarray, "n e"]:
    """The embeddings of the sound of the first `count` frames."""
    windows = audio_windows(mfcc(samples), count)
    return np.concatenate([np.asarray(network.audio(part)) for part in _batches(windows)])[:count]


def _batches(windows: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(windows), BATCH):
        yield fit_length(windows[first : first + BATCH], BATCH)
