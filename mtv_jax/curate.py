"""`python -m mtv_jax.curate`: from films, or a synthetic theatre, to shards; and shards checked."""

import argparse
import os
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mtv_jax.curation.executors.local import ENVIRONMENT
from mtv_jax.curation.flags import curate_parser
from mtv_jax.io.cli import run
from mtv_jax.io.config import split_overrides
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output
from mtv_jax.io.limits import MAX_CLIPS, MAX_FRAMES, check_bound, check_room
from mtv_jax.names import TRACKS

if TYPE_CHECKING:
    from mtv_jax.curation.config import SizeConfig
    from mtv_jax.curation.encoders import Encoders
    from mtv_jax.curation.engine import MakeExecutor
    from mtv_jax.curation.settings import Settings
    from mtv_jax.io.clip_size import ClipSize


def main(argv: list[str]) -> int | None:
    """Runs the command; 1 if no clip is kept, or with --strict a film cannot be used."""
    rest, overrides = split_overrides(argv)
    args = curate_parser().parse_args(rest)
    if overrides and not hasattr(args, "config"):
        raise UserError(f"--config.{next(iter(overrides))}: `curate {args.command}` has no config")
    args.overrides = overrides
    commands = {
        "sources": _sources,
        "run": _run,
        "plan": _plan,
        "status": _status,
        "decide": _decide,
        "pack": _pack,
        "features": _features,
        "report": _report,
        "verify": _verify,
        "theatre": _theatre,
        "objects": _objects,
        "scene": _scene,
    }
    return commands[args.command](args)


def _sources(args: argparse.Namespace) -> None:
    from mtv_jax.curation.layouts.listing import SOURCES, Request, list_sources

    request = Request(args.layout, args.videos, args.table, args.labels, args.test)
    told, notes = list_sources(request, args.out or args.videos / SOURCES, overwrite=args.overwrite)
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    print(told)


def _run(args: argparse.Namespace) -> int:
    # As workers have it, so that shards are the same bytes without any. Before JAX and torch start, which read it once.
    os.environ.update(ENVIRONMENT)
    from mtv_jax.curation.commands import BadFilmsError, run_and_pack
    from mtv_jax.curation.making import summary, warn_of_left_out

    settings = _settings(args)
    options = {name: getattr(args, name) for name in ("strict", "overwrite", "retry_failed", "force")}
    try:
        manifest = run_and_pack(args.out, settings, _executor(args), **options)
        print(summary(args.out, manifest))
        warn_of_left_out(manifest["info"]["left_out"])
        return 0
    except BadFilmsError as error:
        warn_of_left_out(error.left_out)
        print(f"error: {error}", file=sys.stderr)
        return 1


def _plan(args: argparse.Namespace) -> None:
    from mtv_jax.curation.commands import plan_run

    print(plan_run(_settings(args)))


def _status(args: argparse.Namespace) -> None:
    from mtv_jax.curation.session import Session
    from mtv_jax.curation.settings import Layout
    from mtv_jax.curation.summaries import status

    print(status(Session.open(Layout(args.folder))))


def _decide(args: argparse.Namespace) -> None:
    from mtv_jax.curation.commands import decide_again
    from mtv_jax.curation.config import load_curate_config
    from mtv_jax.curation.settings import Layout, load_settings

    layout = Layout(args.folder)
    config = load_curate_config(args.config, args.overrides, load_settings(layout).config)
    print(decide_again(layout, config))


def _pack(args: argparse.Namespace) -> None:
    from mtv_jax.curation.commands import pack_again
    from mtv_jax.curation.making import summary
    from mtv_jax.curation.pack import PackConfig
    from mtv_jax.curation.settings import Layout

    config = PackConfig(test_clips=args.test_clips, release=args.release)
    print(summary(args.folder, pack_again(Layout(args.folder), config)))


def _features(args: argparse.Namespace) -> None:
    from mtv_jax.curation.features import make_features, parse_encoders
    from mtv_jax.curation.making import check_folder, locked, summary

    check_folder(args.out, overwrite=args.overwrite)
    encoders = parse_encoders(args.audio_encoder)
    with locked(args.out):
        print(summary(args.out, make_features(args.folder, args.out, encoders)))


def _report(args: argparse.Namespace) -> None:
    from mtv_jax.curation.report.page import write_report
    from mtv_jax.curation.reporting import report_data
    from mtv_jax.curation.session import Session
    from mtv_jax.curation.settings import Layout

    layout = Layout(args.folder)
    write_report(layout.report, report_data(Session.open(layout)))
    print(f"the report: {layout.report}")


def _verify(args: argparse.Namespace) -> None:
    from mtv_jax.curation.verify import verify

    print(verify(args.shards, again=args.again))


def _theatre(args: argparse.Namespace) -> None:
    from mtv_jax.curation.making import check_folder, locked, summary
    from mtv_jax.curation.theatre import TheatreBuild, build_theatre

    check_folder(args.out, overwrite=args.overwrite)
    size = replace(_size(args), native_rate=False)  # there are no videos that could have their own
    check_bound("clips", args.clips, MAX_CLIPS, force=args.force)
    config = TheatreBuild(size, args.clips, args.seed, args.frames_only, args.speakers)
    if args.frames_only:
        check_room(args.out, config.num_bytes, force=args.force)
    with locked(args.out):
        print(summary(args.out, build_theatre(args.out, _encoders(args), config)))


def _objects(args: argparse.Namespace) -> None:
    from mtv_jax.curation.making import check_folder, locked, summary
    from mtv_jax.curation.objects import ObjectsBuild, build_objects, load_encoders

    check_folder(args.out, overwrite=args.overwrite)
    check_bound("clips", args.clips, MAX_CLIPS, force=args.force)
    made = {name: getattr(args, name) for name in ("clips", "seed", "frames_only", "unnamed")}
    config = ObjectsBuild(args.content, **made)
    if args.frames_only:
        check_room(args.out, config.num_bytes, force=args.force)
    elif args.encoders is None:
        raise UserError("--encoders: name the pipeline folder to encode with, or give --frames-only")
    encoders = None if args.frames_only else load_encoders(config, args.encoders, args.vae)
    with locked(args.out):
        print(summary(args.out, build_objects(args.out, encoders, config)))


def _scene(args: argparse.Namespace) -> None:
    from mtv_jax.evaluation.scene import FILE, write_own_scene, write_scene
    from mtv_jax.theatre import EVALUATION_SEEDS, SoundLibrary, TheatreConfig

    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[FILE])
    if args.things is not None:
        _objects_scene(args)
        return
    sounds = {track: getattr(args, track) for track in TRACKS if getattr(args, track) is not None}
    if args.prompt is None:
        if sounds or args.onsets is not None:
            raise UserError("your own sounds and onsets need --prompt, which describes the scene")
        config = TheatreConfig(num_frames=args.num_frames or 25, fps=args.fps)
        recordings = SoundLibrary.held_out() if args.real_sounds else None
        write_scene(args.out, EVALUATION_SEEDS + args.seed, args.index, recordings, config)
    else:
        if not sounds:
            raise UserError(
                f"--prompt: a scene needs sound; give some of {', '.join(f'--{t}' for t in TRACKS)}"
            )
        onsets = write_own_scene(args.out, args.prompt, sounds, args.fps, args.num_frames, args.onsets)
        print(f"struck at, seconds: {', '.join(f'{onset:g}' for onset in onsets) or 'never'}")
    print(
        f"{args.out}: a scene; `python -m mtv_jax.evaluate VIDEO --scene {args.out} --out DIR` measures by it"
    )


def _objects_scene(args: argparse.Namespace) -> None:
    from mtv_jax.evaluation.objects.scene import write_objects_scene

    theatres = ("prompt", "onsets", "num_frames", *TRACKS)
    unused = [name for name in theatres if getattr(args, name) is not None]
    if unused or args.real_sounds:
        name = unused[0] if unused else "real_sounds"
        raise UserError(f"--{name.replace('_', '-')}: is of a scene of the theatre, not with --things")
    clip = write_objects_scene(args.out, args.index, things=args.things, seed=args.seed)
    print(f"{args.out}: a scene of sounding objects; its sources, for `python -m mtv_jax.sample`:")
    for kind, place in clip.places.items():
        box = ",".join(f"{side:.3f}" for side in place)
        print(f"  --source {kind}={args.out / kind}.flac@{box}")


def _settings(args: argparse.Namespace) -> "Settings":
    from mtv_jax.curation.config import load_curate_config
    from mtv_jax.curation.settings import Settings, default_skip

    config = load_curate_config(args.config, args.overrides)
    size = _size(args, config.size)
    stride = size.num_frames if args.stride is None else args.stride
    check_bound("stride", stride, MAX_FRAMES, force=args.force)
    return Settings(
        videos=str(args.videos),
        size=size,
        stride=stride,
        skip=default_skip(size) if args.skip_frames is None else args.skip_frames,
        separator=args.separator,
        encoders=args.encoders,
        vae=args.vae,
        frames_only=args.frames_only,
        normalize_loudness=args.normalize_loudness,
        config=config,
    )


def _executor(args: argparse.Namespace) -> "MakeExecutor":
    from mtv_jax.curation.executors.inline import InlineExecutor
    from mtv_jax.curation.executors.local import LocalExecutor, num_cores
    from mtv_jax.curation.executors.ray import RayExecutor

    workers = num_cores() if args.workers is None else args.workers
    if args.executor == "ray":
        return partial(RayExecutor, workers=workers, address=args.address, num_gpus=args.gpus_per_worker)
    return partial(LocalExecutor, workers=workers) if workers else InlineExecutor


def _size(args: argparse.Namespace, config: "SizeConfig | None" = None) -> "ClipSize":
    """By the flags, else by a config, else by the encoders."""
    from mtv_jax.curation.making import clip_size

    given = {}
    for name in ("num_frames", "height", "width", "fps"):
        flag = getattr(args, name)
        given[name] = getattr(config, name, None) if flag is None else flag
    return clip_size(args.encoders, **given, force=args.force)


def _encoders(args: argparse.Namespace) -> "Encoders | None":
    from mtv_jax.curation.encoders import Encoders

    return None if args.frames_only else Encoders.from_pretrained(args.encoders, args.vae)


if __name__ == "__main__":
    run(main)
