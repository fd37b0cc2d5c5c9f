"""How well a video follows the sounds of its scene (`mtv_jax.evaluation.scene`), beside the theatre's own picture."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from mtv_jax.evaluation.metrics.statistics import f1_score, lagged_correlation
from mtv_jax.evaluation.report.contact_sheet import Strip, contact_sheet
from mtv_jax.evaluation.report.output import SHEET, write_report
from mtv_jax.evaluation.report.schema import Figure, Report, VideoRow
from mtv_jax.evaluation.scene import Scene, read_scene
from mtv_jax.evaluation.syncsynth import load_syncsynth
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.evaluation.theatre.readers import Readers, match_events, mood_of
from mtv_jax.evaluation.theatre.suite import LAGS, best_lag
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, sha256
from mtv_jax.io.notes import note
from mtv_jax.io.pictures import write_image
from mtv_jax.io.video import read_video
from mtv_jax.theatre import TheatreConfig, render_frames
from mtv_jax.theatre.plan import actors_of

_LEAST_FRAMES = 8
"""Fewer frames leave too few at the largest lag for a correlation."""


def evaluate_scene(video: Path, folder: Path, out: Path) -> Report:
    """Measures a video file against a scene folder, and writes the report and a contact sheet to a folder.

    A video of another length or rate than the scene's is measured over its own length. Raises UserError if the files
    cannot be read, or nothing of the scene can be read from the video.
    """
    video, scene = existing_file(video), read_scene(folder)
    frames, fps = read_video(video)
    _note_difference(video, frames, fps, scene.plan.config)
    scene = scene.seen_as(frames, fps)
    crowd = TheatreConfig(actors=actors_of(len(scene.plan.actors)))
    figures = scene_figures(scene, theatre_readers.fit_readers(crowd), frames)
    if not figures:
        raise UserError(f"{video}: nothing of the scene {folder} can be read from {len(frames)} frames")
    write_image(out / SHEET, contact_sheet([Strip(frames, scene.performance.tracks, fps)]))
    shown = video.resolve().is_relative_to(out.resolve())
    name = video.resolve().relative_to(out.resolve()).as_posix() if shown else video.name
    row = VideoRow(name, sha256(video), scene.prompt, shown=shown)
    report = Report("scene", figures, {"scene": str(folder)}, [row], contact_sheet=SHEET)
    write_report(out, report)
    return report


def _note_difference(video: Path, frames: np.ndarray, fps: float | Fraction, own: TheatreConfig) -> None:
    if len(frames) != own.num_frames or abs(float(fps) - float(own.fps)) > 1e-3:
        note(
            f"{video} has {len(frames)} frames at {float(fps):g} fps, the scene {own.num_frames} at "
            f"{float(own.fps):g}: it is measured over the length of the video"
        )


def scene_figures(scene: Scene, readers: Readers, frames: np.ndarray) -> list[Figure]:
    """All figures that a scene allows, of frames uint8 [F H W 3]; their baseline is the theatre's own picture of it."""
    own = render_frames(scene.plan, scene.performance)
    return [figure for part in (_lips, _events, _mood) for figure in part(scene, readers, frames, own)]


def _figure(identifier: str, value: float, theatre: float, note: str = "") -> Figure:
    # Targets are for means over many clips, not for one video.
    return Figure(identifier, value, 1, baselines={"theatre": theatre}, note=note)


def _lips(scene: Scene, readers: Readers, frames: np.ndarray, own: np.ndarray) -> list[Figure]:
    plan, envelope = scene.plan, scene.performance.envelopes["speech"]
    if plan.speaker is None or not envelope.any() or len(frames) < _LEAST_FRAMES:
        return []
    seen, ideal = readers.openings(frames, plan), readers.openings(own, plan)

    def by_lag(openings: np.ndarray) -> dict[int, float]:
        return {lag: lagged_correlation(openings[plan.speaker], envelope, lag) for lag in LAGS}

    found, best = by_lag(seen), max(by_lag(ideal).values())
    lag = max(LAGS, key=lambda lag: found[lag])
    late, ideally = (float(best_lag(openings[plan.speaker], envelope)) for openings in (seen, ideal))
    figures = [
        _figure("lips.correlation", found[lag], best, f"lips {lag} frames late"),
        _figure("lips.lag", late, ideally),
    ]
    for other in range(len(plan.actors)):
        if other != plan.speaker:
            value, theatre = (
                lagged_correlation(openings[other], envelope, lag) for openings in (seen, ideal)
            )
            figures.append(_figure("other_head.correlation", value, theatre))
    return figures + _in_time(scene, frames, own)


def _in_time(scene: Scene, frames: np.ndarray, own: np.ndarray) -> list[Figure]:
    """SyncSynth's confidence, without a p-value: its null would have to be of voices like the scene's."""
    plan, instrument = scene.plan, load_syncsynth()
    if plan.speaker is None or not instrument.knows(len(frames), plan.config.fps):
        return []
    place, wave = plan.actors[plan.speaker].place, scene.performance.tracks["speech"]

    def confidence(video: np.ndarray) -> float:
        return instrument.confidence(video, place, wave, plan.config.fps)

    still = f"without movement {confidence(np.repeat(frames[:1], len(frames), axis=0)):.2f}"
    return [_figure("sync.confidence", confidence(frames), confidence(own), still)]


def _events(scene: Scene, readers: Readers, frames: np.ndarray, own: np.ndarray) -> list[Figure]:
    true = scene.plan.event_frames
    if not true:
        return []

    def f1(found: tuple[int, ...]) -> float:
        return f1_score(match_events(found, true), len(found), len(true))

    seen, ideal = (readers.event_frames(video, scene.plan) for video in (frames, own))
    frame_lists = f"in frames {_list(seen)}, struck in {_list(true)}"
    return [_figure("events.f1", f1(seen), f1(ideal), frame_lists)]


def _mood(scene: Scene, _readers: Readers, frames: np.ndarray, own: np.ndarray) -> list[Figure]:
    mood = scene.performance.mood
    if mood is None:
        return []
    wanted = {"mood.valence": mood.valence, "mood.energy": mood.energy}
    return [
        _figure(identifier, seen, ideal, f"the music's is {value:.2f}")
        for (identifier, value), seen, ideal in zip(
            wanted.items(), mood_of(frames), mood_of(own), strict=True
        )
    ]


def _list(frames: tuple[int, ...]) -> str:
    return ", ".join(map(str, frames)) or "none"
