"""The objects suite on a Maestro pipeline: draws mixes by a method, measures them and writes the report."""

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mtv_jax.audio.separation.by_text.base import SeparatorByText
from mtv_jax.evaluation.objects.cases import (
    OWN,
    Case,
    Look,
    evaluation_clips,
    performed,
    see,
    strip_of,
    variants,
)
from mtv_jax.evaluation.objects.options import Method, ObjectsOptions
from mtv_jax.evaluation.objects.suite import Sample, figures
from mtv_jax.evaluation.report.contact_sheet import Strip, contact_sheet
from mtv_jax.evaluation.report.output import SHEET, write_report
from mtv_jax.evaluation.report.provenance import provenance
from mtv_jax.evaluation.report.resume import resumable
from mtv_jax.evaluation.report.schema import RESULTS, Figure, Report, VideoRow, read_report
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, read_json_object
from mtv_jax.io.pictures import write_image
from mtv_jax.io.progress import progress
from mtv_jax.io.video import write_video
from mtv_jax.names import TRACK_RATE
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.maestro.hearing import text_separator
from mtv_jax.pipelines.maestro.pipeline import MaestroPipeline
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.places import Place, Scene
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.run import Request, reconstruct, row_request, sample
from mtv_jax.theatre.objects import ObjectClip, ObjectsConfig
from mtv_jax.theatre.objects.plan import VERSION
from mtv_jax.typing import UInt8
from mtv_jax.weights.maestro_defaults import MaestroDefaults

Frames = UInt8[np.ndarray, "f h w 3"]
_KEPT = ".generated"


def evaluate_objects(options: ObjectsOptions, out: Path, *, overwrite: bool) -> tuple[Report, bool]:
    """Measures a pipeline and writes the report to a folder; continues a measurement that was stopped.

    Returns the report, and whether it was there already: results of exactly the same measurement are kept. Raises
    UserError for a pipeline that is not Maestro or makes clips of another size than the world's.
    """
    pipe = Pipeline.from_pretrained(options.preset, dtype=options.dtype)
    if not isinstance(pipe, MaestroPipeline):
        raise UserError(f"{options.preset}: is a {type(pipe).__name__}; --suite objects measures Maestro")
    _check(pipe, options)
    origin = {**dataclasses.asdict(options), "objects_version": VERSION}
    origin |= {"preset": str(options.preset), **provenance(pipeline_folder(options.preset))}
    if (out / RESULTS).exists() and read_json_object(out / RESULTS).get("provenance") == origin:
        return read_report(out / RESULTS), True
    check_output(out, folder=True, overwrite=overwrite, marks=[RESULTS])
    (out / RESULTS).unlink(missing_ok=True)

    def show(cases: Sequence[Case]) -> Iterator[Frames]:
        return drawn(pipe, cases, options)

    clips = evaluation_clips(
        options.clips,
        things=options.things,
        seed=options.seed,
        num_frames=options.num_frames,
        changes_at=options.changes_at,
    )
    rows: list[VideoRow] = []
    strips: list[Strip] = []

    def keep(case: Case, frames: Frames) -> None:
        if len(rows) < options.videos and case.seed == options.seed:
            rows.append(_write_video(out, case, frames))
            strips.append(strip_of(case, frames))

    noises = range(options.seed, options.seed + options.seeds)

    def code(cases: Sequence[Case]) -> Iterable[Frames]:
        return reconstruct(pipe, map(performed, cases), batch_size=options.batch_size)

    controls = not options.without_controls
    found = watch(clips, noises, resumable(show, out / _KEPT, origin), keep, controls=controls)
    truth = watch(clips, [0], lambda cases: map(performed, cases), controls=controls)
    coded = watch(clips, [0], code, controls=controls)
    baselines = {"theatre": figures(truth), "autoencoder": figures(coded)}
    if strips:
        write_image(out / SHEET, contact_sheet(strips))
    report = Report(
        "objects",
        _beside(figures(found), baselines),
        origin,
        rows,
        untrained=list(pipe.untrained),
        contact_sheet=SHEET if strips else None,
    )
    write_report(out, report)
    shutil.rmtree(out / _KEPT)
    return report, False


def drawn(pipe: MaestroPipeline, cases: Sequence[Case], options: ObjectsOptions) -> Iterator[Frames]:
    """Frames that a pipeline makes of each case, in order; shows progress."""
    how = VideoOptions(num_inference_steps=options.steps, guidance_scale=options.guidance_scale)
    config = how.config(pipe.defaults.sampling, ())
    if options.separated:
        separator = text_separator(pipeline_folder(options.preset))
        cases = [separated(case, separator) for case in cases]
    requests = (
        request_of(pipe, case, options.method, options.locating_steps, config.sampler.num_steps)
        for case in cases
    )
    size = pipe.defaults.clip.replace(num_frames=options.num_frames)
    frames = sample(pipe, requests, size, config, batch_size=options.batch_size)
    return progress(frames, f"drawing ({options.batch_size} clips at once)", total=len(cases))


def separated(case: Case, separator: SeparatorByText) -> Case:
    """The case with what a separator finds of each source in the mix of all, by the names."""
    mix = np.sum(list(case.sounds.values()), axis=0, dtype=np.float32)
    tracks = separator.separate(mix[:, None], TRACK_RATE, list(case.sounds))
    return dataclasses.replace(case, sounds={name: track[:, 0] for name, track in tracks.items()})


def request_of(
    pipe: MaestroPipeline, case: Case, method: Method, locating_steps: int | None, num_steps: int
) -> Request:
    """The request of a case; all variants of a clip have the same noise.

    `vanilla` gives every pixel the tokens of all sources, without boxes. `locating_steps` are of the method `both`;
    None: the share of the timesteps that the folder says.
    """
    maestro = pipe.defaults.maestro or MaestroDefaults()
    mosaic = maestro.options("LR")
    if method == "vanilla":
        mosaic = dataclasses.replace(mosaic, strength=0.0, weaken=1.0)
    located = {"both": locating_steps, "denoising": 0}.get(method, num_steps)
    places = {name: Place.at(*(float(side) for side in place)) for name, place in case.places.items()}
    request = row_request("", case.sounds, case.seed, case.clip.plan.index)
    scene = Scene(places, pipe.locate_until(located, num_steps), mosaic)
    return dataclasses.replace(request, scene=scene)


def watch(
    clips: Sequence[ObjectClip],
    seeds: Iterable[int],
    show: Callable[[Sequence[Case]], Iterable[Frames]],
    keep: Callable[[Case, Frames], None] = lambda _case, _frames: None,
    *,
    controls: bool = True,
) -> list[Sample]:
    """Reads all variants (`controls`: or the first alone) of all clips from the first noise, then all from the next.

    `keep` is called with each clip's own case and its frames.
    """
    cases = [
        item for seed in seeds for found in variants(clips, seed, controls=controls) for item in found.items()
    ]
    samples: list[dict[str, Look]] = []
    for (name, case), frames in zip(cases, show([case for _, case in cases]), strict=True):
        if name == OWN:  # the first of a clip's variants
            samples.append({})
            keep(case, frames)
        samples[-1][name] = see(case, frames)
    return list[Sample](samples)


def _write_video(out: Path, case: Case, frames: Frames) -> VideoRow:
    name = f"videos/mix_{case.clip.plan.index:03d}.mp4"
    mix = np.sum(list(case.sounds.values()), axis=0, dtype=np.float32)
    write_video(out / name, frames, case.clip.plan.config.fps, audio=mix, sample_rate=TRACK_RATE)
    return VideoRow(name, caption=case.clip.prompt, shown=True)


def _check(pipe: MaestroPipeline, options: ObjectsOptions) -> None:
    world, size = ObjectsConfig(), pipe.defaults.clip
    if (size.fps, size.height, size.width) != (world.fps, world.height, world.width):
        raise UserError(
            f"{options.preset}: makes videos of {size.width} x {size.height} at {float(size.fps):g} frames a second; "
            f"the sounding objects are {world.width} x {world.height} at {float(world.fps):g}"
        )
    if pipe.untrained and not options.allow_random_weights:
        raise UserError(
            f"{options.preset}: random weights, not trained: {', '.join(pipe.untrained)}; "
            "--allow-random-weights measures them all the same, as an invalid result"
        )


def _beside(found: Sequence[Figure], baselines: Mapping[str, Sequence[Figure]]) -> list[Figure]:
    """Figures with the same ones of what they are compared with."""
    values = {name: {figure.id: figure.value for figure in others} for name, others in baselines.items()}
    return [
        dataclasses.replace(
            figure, baselines={name: others.get(figure.id) for name, others in values.items()}
        )
        for figure in found
    ]
