"""Builds a study.

OUT/page/index.html         the page, for a web server
OUT/page/videos/v017.mp4    videos under neutral names
OUT/key.json                which is which; written last
"""

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mtv_jax.evaluation.study.design import Chosen, Study, design
from mtv_jax.evaluation.study.folders import Candidate, candidates
from mtv_jax.evaluation.study.form import form_of
from mtv_jax.evaluation.study.options import KEY, PAGE, StudyOptions, System
from mtv_jax.evaluation.study.page import INDEX, VIDEOS, page
from mtv_jax.io.audio import read_stereo
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, sha256, write_json, write_text
from mtv_jax.io.progress import progress, say
from mtv_jax.io.video import iter_frames, probe, write_video
from mtv_jax.names import VIDEO_SOUND_RATE

_CRF = 14
"""Of videos that are encoded a second time: finer than `write_video` writes them the first time."""


def build_study(systems: Sequence[System], options: StudyOptions, out: Path) -> Study:
    """Writes the page and the key of a study, and says what is left out.

    Raises UserError like `candidates`, for one system where the best of several is asked for, and if there are fewer
    than `n` clips.
    """
    form = form_of(options.form)
    if form.kind == "best" and len(systems) < 2:
        raise UserError(f"--form {form.id}: asks for the best of several systems; give two or more folders")
    clips, problems = candidates(systems)
    for place, reason in problems.items():
        say(f"{place}: {reason}; left out")
    if options.n is not None and options.n > len(clips):
        raise UserError(f"--n {options.n}: {len(clips)} clips can be shown; ask for at most as many")
    with atomic_directory(out / PAGE) as folder:
        study = design(
            form,
            _chosen(clips, options, folder / VIDEOS),
            participants=options.participants,
            seed=options.seed,
        )
        _rename(study, folder / VIDEOS)
        write_text(folder / INDEX, page(study))
        (out / KEY).unlink(missing_ok=True)  # that of the former page must not stand beside the new one
    write_json(out / KEY, study.to_json())
    return study


def _chosen(clips: Sequence[Candidate], options: StudyOptions, folder: Path) -> list[Chosen]:
    """Clips drawn at random whose videos could be copied."""
    order = np.random.default_rng(options.seed).permutation(len(clips))
    copied = itertools.islice(_copied([clips[pick] for pick in order], folder), options.n)
    wanted = options.n or len(clips)
    chosen = list(progress(copied, "copying the videos of clips", total=wanted))
    if not chosen or len(chosen) < (options.n or 0):
        raise UserError(f"{len(chosen)} of {wanted} clips can be read; repair the others, or ask for fewer")
    if mute := sum(1 for clip in chosen if not clip.text):
        say(f"note: {mute} clips have no text; a manifest.jsonl gives them one by 'prompt'")
    return chosen


def _copied(clips: Iterable[Candidate], folder: Path) -> Iterator[Chosen]:
    """Copies the videos of clips. A clip of which one cannot be read is left out."""
    for clip in clips:
        copies = {system: folder / _temporary(clip.id, system) for system in clip.videos}
        try:
            for system, copy in copies.items():
                _copy(clip.videos[system], clip.sound, copy)
        except UserError as error:
            say(f"{clip.id}: {error}; left out")
            for copy in copies.values():
                copy.unlink(missing_ok=True)
            continue
        yield Chosen(clip.id, clip.text, {system: sha256(path) for system, path in clip.videos.items()})


def _copy(video: Path, sound: Path | None, target: Path) -> None:
    """Encodes a video once more, so that only its pictures and its sound can tell its system.

    Raises UserError if it cannot be read.
    """
    info = probe(video)
    source = video if info.has_audio else sound
    if source is None:
        say(f"note: {video}: has no sound, and no manifest names an 'audio' for it")
    samples = None if source is None else read_stereo(source, VIDEO_SOUND_RATE)
    frames = (_even(frame) for frame in iter_frames(video))
    write_video(target, frames, info.fps, audio=samples, sample_rate=VIDEO_SOUND_RATE, crf=_CRF, comment="")


def _even(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Repeats the last row or column of a frame of odd size, which H.264 cannot store."""
    height, width = frame.shape[:2]
    if height % 2 == width % 2 == 0:
        return frame
    return np.pad(frame, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")


def _temporary(clip: str, system: str) -> str:
    """A name that no other video has, whatever is in the ids of clips."""
    return f"{hashlib.sha256(json.dumps([clip, system]).encode()).hexdigest()}.mp4"


def _rename(study: Study, folder: Path) -> None:
    """Gives the copies their neutral names, and all of them the same time, since they were written in turn."""
    now = time.time()
    for clip in study.clips.values():
        for name, system in clip.videos.items():
            target = (folder / _temporary(clip.id, system)).rename(folder / f"{name}.mp4")
            os.utime(target, (now, now))
