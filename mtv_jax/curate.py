"""`python -m mtv_jax.curate`: from a folder of videos, or a synthetic theatre, to shards; and shards checked."""

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from mtv_jax.curation.flags import curate_parser
from mtv_jax.io.cli import run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output
from mtv_jax.io.limits import MAX_CLIPS, MAX_FRAMES, check_bound, check_room
from mtv_jax.names import TRACKS

if TYPE_CHECKING:
    from mtv_jax.curation.encoders import Encoders
    from mtv_jax.io.clip_size import ClipSize


def main(argv: list[str]) -> int | None:
    """Runs the command; 1 if no video of a folder could be used, or with --strict one could not."""
    args = curate_parser().parse_args(argv)
    return {"run": _build, "theatre": _theatre, "scene": _scene, "verify": _verify}[args.command](args)


def _build(args: argparse.Namespace) -> int:
    from mtv_jax.curation.build import BadVideosError, BuildConfig, build_shards, default_skip
    from mtv_jax.curation.making import check_folder, left_out_warning, locked, summary

    check_folder(args.out, overwrite=args.overwrite)
    size = _size(args)
    stride = size.num_frames if args.stride is None else args.stride
    check_bound("stride", stride, MAX_FRAMES, force=args.force)
    config = BuildConfig(
        size,
        stride,
        default_skip(size) if args.skip_frames is None else args.skip_frames,
        frames_only=args.frames_only,
        separator=args.separator,
        normalize_loudness=args.normalize_loudness,
    )
    problem = None
    with locked(args.out):
        try:
            manifest = build_shards(args.videos, args.out, _encoders(args), config, strict=args.strict)
            left_out = manifest["info"]["left_out"]
            print(summary(args.out, manifest))
        except BadVideosError as error:
            problem, left_out = error, error.left_out
    lines = [left_out_warning(left_out), problem and f"error: {problem}"]
    for line in filter(None, lines):
        print(line, file=sys.stderr)
    return 1 if problem else 0


def _theatre(args: argparse.Namespace) -> None:
    from mtv_jax.curation.making import check_folder, locked, summary
    from mtv_jax.curation.theatre import TheatreBuild, build_theatre

    check_folder(args.out, overwrite=args.overwrite)
    size = replace(_size(args), native_rate=False)  # there are no videos that could have their own
    check_bound("clips", args.clips, MAX_CLIPS, force=args.force)
    config = TheatreBuild(size, clips=args.clips, seed=args.seed, frames_only=args.frames_only)
    if args.frames_only:
        needed = args.clips * size.num_frames * size.height * size.width  # a third of the pixels, packed
        check_room(args.out, needed, force=args.force)
    with locked(args.out):
        print(summary(args.out, build_theatre(args.out, _encoders(args), config)))


def _scene(args: argparse.Namespace) -> None:
    from mtv_jax.evaluation.scene import FILE, write_own_scene, write_scene
    from mtv_jax.theatre import EVALUATION_SEEDS, SoundLibrary, TheatreConfig

    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[FILE])
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


def _verify(args: argparse.Namespace) -> None:
    from mtv_jax.data.verify import verify_shards

    shards, read = verify_shards(args.shards, again=args.again)
    total = len(shards.manifest["shards"])
    known = f" ({total - read} of them found whole before)" if read < total else ""
    print(f"{args.shards}: {len(shards)} records in {total} shards{known}, all whole")


def _size(args: argparse.Namespace) -> "ClipSize":
    from mtv_jax.curation.making import clip_size

    given = {name: getattr(args, name) for name in ("num_frames", "height", "width", "fps", "force")}
    return clip_size(args.encoders, **given)


def _encoders(args: argparse.Namespace) -> "Encoders | None":
    from mtv_jax.curation.encoders import Encoders

    return None if args.frames_only else Encoders.from_pretrained(args.encoders, args.vae)


if __name__ == "__main__":
    run(main)
