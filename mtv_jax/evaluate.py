"""`python -m mtv_jax.evaluate`: how well videos follow their sound, a video its scene, a pipeline each track."""

import argparse
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mtv_jax.audio.demix import DEFAULT_DEMIXER
from mtv_jax.diffusion.samplers import SamplerConfig, SamplerName
from mtv_jax.io.cli import add_force, add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, existing_file, read_json, sha256, write_json
from mtv_jax.io.limits import MAX_CLIPS, MAX_STEPS, check_bound, check_guidance
from mtv_jax.io.lock import FolderLock
from mtv_jax.io.video_folders import videos_in

_RESULTS = "results.json"
SAMPLER: SamplerName = "ddim"
"""It adds no noise on its way: two cases of one seed and row that differ in a track differ in that track alone."""
_THEATRE = {
    "preset": None,
    "clips": 200,
    "seeds": 3,
    "seed": 0,
    "steps": 8,
    "guidance_scale": 1.0,
    "batch_size": 16,
    "dtype": "float32",
    "videos": 8,
    "real_sounds": False,
    "mixed": None,
    "allow_random_weights": False,
}
"""Options of `--suite theatre`, and their defaults."""


def _parser() -> argparse.ArgumentParser:
    top = parser(
        "evaluate",
        "Measure AV-Align (do sounds begin when something moves?) of videos with sound; or, with --scene, how well "
        "a video made for a scene of the theatre follows its speech, effects and music; or, with --suite theatre, "
        "how well a pipeline follows each track of its sound and its text.",
    )
    top.add_argument("files", metavar="VIDEO", type=Path, nargs="*", help="video files, or folders of them")
    top.add_argument(
        "--out", type=Path, required=True, help="folder for results.json, and of a suite the report"
    )
    add_overwrite(top)
    add_force(top)
    top.add_argument(
        "--suite", choices=("theatre",), help="what to measure a pipeline by, instead of giving videos"
    )
    top.add_argument(
        "--scene",
        type=Path,
        help="folder of the sounds and the plan that the one video was made for, such as "
        "mtv_jax/assets/scenes/bell, or one that `python -m mtv_jax.curate scene` makes of sounds of yours; writes a "
        "contact sheet too",
    )
    group = top.add_argument_group("with --suite theatre")

    def add(name: str, told: str, **options: Any) -> None:
        default = _THEATRE[name.replace("-", "_")]
        told += "" if default is None or default is False else f" (default: {default})"
        # An option that is not given is not there, so that one without a suite is noticed.
        group.add_argument(f"--{name}", default=argparse.SUPPRESS, help=told, **options)

    add("preset", "preset (tiny), pipeline folder or training directory to measure; needed")
    add("clips", "clips, rendered afresh of seeds that training cannot reach", type=_count)
    add("seeds", "noises that each clip is generated from", type=_count)
    add("seed", "of the clips and the first noise", type=int)
    add("steps", "sampling steps (DDIM)", type=_count)
    add("guidance-scale", "pull of text and sound; 1 is none", type=float)
    add("batch-size", "clips generated at once", type=_count)
    add("dtype", "what networks compute in", choices=("float32", "bfloat16"))
    add("videos", "example videos in the report", type=int)
    add(
        "real-sounds",
        "speech and strikes are bundled recordings that no training hears (8 s of two voices that it knows, a strike "
        "of each prop); music stays synthetic, and SyncSynth is left out",
        action="store_true",
    )
    add(
        "mixed",
        f"mix the tracks of each clip into one sound and separate it again, by {DEFAULT_DEMIXER} or the demixer named; "
        "'raw': hear the mix on every track",
        nargs="?",
        const=DEFAULT_DEMIXER,
        metavar="DEMIXER",
    )
    add(
        "allow-random-weights",
        "measure parts that were not trained, as an invalid result",
        action="store_true",
    )
    return top


def main(argv: list[str]) -> int:
    """Runs the command; 2 if no video could be measured."""
    args = _parser().parse_args(argv)
    given = {name: value for name, value in vars(args).items() if name in _THEATRE}
    if args.suite is None:
        if given:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise UserError(f"{flags}: only with --suite theatre")
        if not args.files:
            raise UserError("no videos: name some, or measure a pipeline by --suite theatre --preset NAME")
        check_output(args.out, folder=True, overwrite=args.overwrite, marks=[_RESULTS])
        if args.scene is not None:
            return _scene(args.files, args.scene, args.out)
        return _alignment(args.files, args.out)
    if args.files:
        raise UserError(f"{args.files[0]}: --suite {args.suite} makes its own videos; leave files out")
    if args.scene is not None:
        raise UserError(f"--scene {args.scene}: is for a video, not with --suite {args.suite}")
    if not given.get("preset"):
        raise UserError("--suite theatre: --preset NAME, the pipeline to measure, is missing")
    options = argparse.Namespace(**(_THEATRE | given))
    check_output(args.out, folder=True)
    _check_bounds(options, force=args.force)
    with FolderLock(args.out, "--out"):
        return _theatre(options, args.out, overwrite=args.overwrite)


def _check_bounds(options: argparse.Namespace, *, force: bool) -> None:

    for name in ("clips", "seeds", "videos", "batch_size"):
        check_bound(name, getattr(options, name), MAX_CLIPS, force=force)
    check_bound("steps", options.steps, MAX_STEPS, force=force)
    check_guidance(options.guidance_scale)
    if options.mixed is not None:
        from mtv_jax.evaluation.mixed import check_mixed

        check_mixed(options.mixed)


def _alignment(paths: Sequence[Path], out: Path) -> int:
    files = [file for path in paths for file in _files(path)]
    from mtv_jax.evaluation.av_align import optical_flow
    from mtv_jax.evaluation.report import alignment_report

    optical_flow()  # told once if it is missing, not once a video
    report = alignment_report(files)
    write_json(out / _RESULTS, report)
    summary = report["summary"]
    for row in report["rows"]:
        print(f"{row['video']}: {row['error'] if 'error' in row else format(row['score'], '.3f')}")
    print(
        f"{summary['metric']}: {summary['mean']} over {summary['videos']} videos, {summary['failed']} failed"
    )
    return 0 if summary["videos"] else 2


def _scene(files: Sequence[Path], folder: Path, out: Path) -> int:
    """Measures a video of a scene."""
    from mtv_jax.evaluation.contact_sheet import Strip, contact_sheet
    from mtv_jax.evaluation.scene import read_scene, scene_readings
    from mtv_jax.evaluation.theatre_page import SHEET
    from mtv_jax.evaluation.theatre_readers import fit_readers
    from mtv_jax.io.pictures import write_image
    from mtv_jax.io.video import read_video

    if len(files) > 1:
        raise UserError(f"{files[1]}: --scene takes one video")
    file, scene = existing_file(files[0]), read_scene(folder)
    frames, fps = read_video(file)
    own, scene = scene.plan.config, scene.seen_as(frames, fps)
    if len(frames) != own.num_frames or abs(float(fps) - float(own.fps)) > 1e-3:
        print(
            f"note: {file} has {len(frames)} frames at {float(fps):g} fps, the scene {own.num_frames} at "
            f"{float(own.fps):g}: it is measured as long as the video"
        )
    readings = scene_readings(scene, fit_readers(), frames)
    if not readings:
        raise UserError(f"{file}: nothing of the scene {folder} can be read from {len(frames)} frames")
    write_image(out / SHEET, contact_sheet([Strip(frames, scene.performance.tracks, fps)]))
    told = {"suite": "scene", "scene": str(folder), "video": file.name, "sha256": sha256(file)}
    write_json(out / _RESULTS, told | {"figures": [vars(reading) for reading in readings]})
    for reading in readings:
        print(reading)
    print(f"frames over the waves: {out / SHEET}")
    return 0


def _theatre(options: argparse.Namespace, out: Path, *, overwrite: bool) -> int:
    """Measures a pipeline; 0 whether or not it meets the targets. Goes on where it was stopped.

    Results of the very same are left as they are; those of another measurement are replaced with `overwrite` only.
    """
    from mtv_jax.curation.theatre import theatre_prompt
    from mtv_jax.evaluation.resume import resumable
    from mtv_jax.evaluation.theatre_page import RESULTS, SHEET_CLIPS, text_row, write_results
    from mtv_jax.evaluation.theatre_readers import fit_readers
    from mtv_jax.evaluation.theatre_run import Run, measure
    from mtv_jax.pipelines.base import Pipeline
    from mtv_jax.pipelines.run import reconstruct
    from mtv_jax.theatre import SoundLibrary, TheatreConfig

    pipe = Pipeline.from_pretrained(options.preset, dtype=options.dtype)
    _check(pipe, options)
    size = pipe.defaults.clip
    stage = TheatreConfig(height=size.height, width=size.width, num_frames=size.num_frames, fps=size.fps)
    shown = max(options.videos, SHEET_CLIPS)
    sounds = SoundLibrary.held_out() if options.real_sounds else None
    origin, kept, there = _origin(pipe, options, sounds), out / ".generated", out / RESULTS
    if there.exists() and read_json(there).get("provenance") == origin:
        print(f"{there}: measured before, with all the same; remove it to measure again")
        return 0
    check_output(out, folder=True, overwrite=overwrite, marks=[there.name])
    show = partial(
        generated,
        pipe,
        steps=options.steps,
        guidance_scale=options.guidance_scale,
        batch_size=options.batch_size,
        mixed=options.mixed,
    )
    outcome = measure(
        Run(stage, options.clips, options.seeds, options.seed, shown, sounds),
        fit_readers(),
        resumable(show, kept, origin),
        lambda videos: reconstruct(pipe, videos, batch_size=options.batch_size),
    )
    prompts = [theatre_prompt(clip) for clip in outcome.clips]
    write_results(out, outcome, prompts, origin, untrained=pipe.untrained, videos=options.videos)
    shutil.rmtree(kept)
    for row in outcome.rows:
        print(text_row(row))
    met = [row.figure.met for row in outcome.rows if row.figure.met is not None]
    print(f"{sum(met)} of {len(met)} targets met; {out / 'index.html'}")
    return 0


def _check(pipe: Any, options: argparse.Namespace) -> None:
    from mtv_jax.pipelines.run import GenerateConfig, check_follows_sound

    GenerateConfig(guidance_scale=options.guidance_scale)  # raises now, not after the clips are rendered
    check_follows_sound(pipe)
    if options.videos < 0:
        raise UserError(f"--videos {options.videos}: must not be negative")
    if pipe.untrained and not options.allow_random_weights:
        raise UserError(
            f"{options.preset}: random weights, not trained: {', '.join(pipe.untrained)}; "
            "--allow-random-weights measures them all the same, as an invalid result"
        )


def generated(
    pipe: Any,
    cases: Sequence[Any],
    *,
    steps: int,
    guidance_scale: float,
    batch_size: int,
    mixed: str | None = None,
) -> Iterator[Any]:
    """Frames uint8 [F H W 3] that a `Pipeline` makes of each `Case` of the theatre suite, in order; shows progress.

    `mixed` is as of `evaluation.mixed.mixed_tracks`.
    """
    from mtv_jax.curation.theatre import theatre_prompt
    from mtv_jax.evaluation.mixed import mixed_tracks
    from mtv_jax.io.progress import progress
    from mtv_jax.pipelines.run import GenerateConfig, row_request, sample

    requests = (
        # The noise is the clip's, whatever is changed about it.
        row_request(
            theatre_prompt(case.text), mixed_tracks(case.tracks, mixed), case.seed, case.clip.plan.index
        )
        for case in cases
    )
    config = GenerateConfig(SamplerConfig(SAMPLER, steps), guidance_scale=guidance_scale)
    frames = sample(pipe, requests, pipe.defaults.clip, config, batch_size=batch_size)
    return progress(frames, f"generating ({batch_size} clips at once)", total=len(cases))


def _origin(pipe: Any, options: argparse.Namespace, sounds: Any) -> dict[str, Any]:
    """All that the results depend on."""
    from mtv_jax.evaluation.provenance import provenance
    from mtv_jax.pipelines.presets import pipeline_folder
    from mtv_jax.theatre.plan import VERSION

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


def _count(text: str) -> int:
    """A number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [existing_file(path)]
    return videos_in(path)[0]


if __name__ == "__main__":
    run(main)
