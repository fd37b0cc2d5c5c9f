"""The theatre suite on a pipeline: generates what is missing, measures it, and writes the report.

The only module of `mtv_jax.evaluation` that runs a pipeline.
"""

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.evaluation.report.contact_sheet import Strip, contact_sheet
from mtv_jax.evaluation.report.output import SHEET, write_report
from mtv_jax.evaluation.report.provenance import provenance
from mtv_jax.evaluation.report.resume import resumable
from mtv_jax.evaluation.report.schema import RESULTS, Report, VideoRow, read_report
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.evaluation.theatre.cases import Case
from mtv_jax.evaluation.theatre.mixed import mixed_tracks
from mtv_jax.evaluation.theatre.options import SuiteOptions
from mtv_jax.evaluation.theatre.run import Outcome, Run, measure
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, read_json_object
from mtv_jax.io.pictures import write_image
from mtv_jax.io.progress import progress
from mtv_jax.io.video import write_video
from mtv_jax.names import TRACK_RATE, SamplerName, track_kind
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.run import GenerateConfig, check_follows_sound, reconstruct, row_request, sample
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import SoundLibrary, TheatreConfig
from mtv_jax.theatre.plan import MOST_ACTORS, VERSION, actors_of

SAMPLER: SamplerName = "ddim"
"""It adds no noise, so two cases of one seed and clip that differ in a track differ in nothing else."""
_SHEET_CLIPS = 8
_KEPT = ".generated"
"""Folder of the videos that were generated, until the report is there."""


TrackScales = tuple[tuple[str, float], ...]
"""Guidance scales of single tracks (`GenerateConfig.track_scales`)."""


def evaluate_pipeline(
    options: SuiteOptions, out: Path, *, overwrite: bool, track_scales: TrackScales = ()
) -> tuple[Report, bool]:
    """Measures a pipeline and writes the report to a folder; continues a measurement that was stopped.

    Returns the report, and whether it was there already: results of exactly the same measurement are kept. Those of
    another one are replaced only with `overwrite`; otherwise UserError is raised, as it is for a pipeline that takes
    no sound or has untrained parts (unless the options allow it).
    """
    pipe = Pipeline.from_pretrained(options.preset, dtype=options.dtype)
    _check(pipe, options)
    sounds = SoundLibrary.held_out() if options.real_sounds else None
    origin = _origin(pipe, options, sounds)
    if track_scales:
        origin["track_scales"] = {name: scale for name, scale in track_scales}
    if _provenance_of(out / RESULTS) == origin:
        return read_report(out / RESULTS), True
    check_output(out, folder=True, overwrite=overwrite, marks=[RESULTS])
    run = Run(
        stage_of(pipe.defaults.clip, pipe.tracks),
        options.clips,
        options.seeds,
        options.seed,
        max(options.videos, _SHEET_CLIPS),
        sounds,
    )
    show = partial(
        generated,
        pipe,
        steps=options.steps,
        guidance_scale=options.guidance_scale,
        batch_size=options.batch_size,
        mixed=options.mixed,
        track_scales=track_scales,
    )
    outcome = measure(
        run,
        theatre_readers.fit_readers(run.stage),
        resumable(show, out / _KEPT, origin),
        lambda videos: reconstruct(pipe, videos, batch_size=options.batch_size),
    )
    report = write_outcome(out, outcome, origin, untrained=pipe.untrained, videos=options.videos)
    shutil.rmtree(out / _KEPT)
    return report, False


def stage_of(size: ClipSize, tracks: Sequence[str]) -> TheatreConfig:
    """The theatre at the size and length of a pipeline's videos, with as many speakers as its tracks are of.

    Raises UserError for more speakers than fit on the stage.
    """
    speakers = sum(track_kind(name) == "speech" for name in tracks)
    if speakers > MOST_ACTORS:
        raise UserError(f"a model of {speakers} speakers: the theatre has room for {MOST_ACTORS}")
    return TheatreConfig(
        height=size.height,
        width=size.width,
        num_frames=size.num_frames,
        fps=size.fps,
        actors=actors_of(speakers),
        num_speakers=max(speakers, 1),
    )


def generated(
    pipe: Pipeline,
    cases: Sequence[Case],
    *,
    steps: int,
    guidance_scale: float,
    batch_size: int,
    mixed: str | None = None,
    track_scales: TrackScales = (),
) -> Iterator[np.ndarray]:
    """Frames uint8 [F H W 3] that a pipeline makes of each case, in order; shows progress.

    `mixed` is as for `mixed.mixed_tracks`.
    """
    requests = (
        # All variants of a clip are generated from the same noise.
        row_request(
            theatre_prompt(case.text.words),
            mixed_tracks(case.tracks, mixed),
            case.seed,
            case.clip.plan.index,
        )
        for case in cases
    )
    config = GenerateConfig(
        SamplerConfig(SAMPLER, steps), guidance_scale=guidance_scale, track_scales=track_scales
    )
    frames = sample(pipe, requests, pipe.defaults.clip, config, batch_size=batch_size)
    return progress(frames, f"generating ({batch_size} clips at once)", total=len(cases))


def write_outcome(
    out: Path, outcome: Outcome, origin: dict[str, Any], *, untrained: Sequence[str] = (), videos: int
) -> Report:
    """Writes the report, the contact sheet and the first `videos` clips with their sound.

    `origin` is everything that the results depend on. Results of `untrained` parts (their names) are marked invalid.
    """
    (out / RESULTS).unlink(missing_ok=True)
    rows = [_write_video(out, outcome, number) for number in range(min(videos, len(outcome.frames)))]
    write_image(out / SHEET, contact_sheet(_strips(outcome)))
    report = Report("theatre", outcome.figures, origin, rows, untrained=list(untrained), contact_sheet=SHEET)
    write_report(out, report)
    return report


def _write_video(out: Path, outcome: Outcome, number: int) -> VideoRow:
    name, clip = f"videos/clip_{number:03d}.mp4", outcome.clips[number]
    write_video(
        out / name,
        outcome.frames[number],
        clip.plan.config.fps,
        audio=clip.tracks["mix"],
        sample_rate=TRACK_RATE,
    )
    return VideoRow(name, caption=theatre_prompt(clip.words), shown=True)


def _strips(outcome: Outcome) -> list[Strip]:
    pairs = list(zip(outcome.clips, outcome.frames, strict=True))[:_SHEET_CLIPS]
    return [Strip(frames, clip.tracks, clip.plan.config.fps) for clip, frames in pairs]


def _check(pipe: Pipeline, options: SuiteOptions) -> None:
    check_follows_sound(pipe)
    if pipe.untrained and not options.allow_random_weights:
        raise UserError(
            f"{options.preset}: random weights, not trained: {', '.join(pipe.untrained)}; "
            "--allow-random-weights measures them all the same, as an invalid result"
        )


def _provenance_of(results: Path) -> Any:
    """What the results in a file depend on; None if there is no file."""
    return read_json_object(results).get("provenance") if results.exists() else None


def _origin(pipe: Pipeline, options: SuiteOptions, sounds: SoundLibrary | None) -> dict[str, Any]:
    """Everything that the results depend on."""
    size = pipe.defaults.clip
    return {
        "preset": str(options.preset),
        "height": size.height,
        "width": size.width,
        "num_frames": size.num_frames,
        "fps": str(size.fps),
        "clips": options.clips,
        "seeds": options.seeds,
        "seed": options.seed,
        "sampler": SAMPLER,
        "steps": options.steps,
        "guidance_scale": options.guidance_scale,
        "batch_size": options.batch_size,
        "dtype": options.dtype,
        "videos": options.videos,
        "recordings": sounds.identity if sounds else None,
        "mixed": options.mixed,
        "theatre_version": VERSION,
        **provenance(pipeline_folder(options.preset)),
    }
