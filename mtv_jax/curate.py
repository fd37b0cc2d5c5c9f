"""`python -m mtv_jax.curate`: from a folder of videos, or a synthetic theatre, to shards; and shards checked."""

import argparse
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtv_jax.audio.demix import DEFAULT_DEMIXER, DEMIXERS
from mtv_jax.io.cli import (
    add_force,
    add_normalize_loudness,
    add_overwrite,
    frame_rate,
    parser,
    run,
    seconds,
    whole_number,
)
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output
from mtv_jax.io.limits import MAX_CLIPS, MAX_FRAMES, check_bound, check_room
from mtv_jax.typing import TRACKS

if TYPE_CHECKING:
    from mtv_jax.curation.encoders import Encoders
    from mtv_jax.io.clip_size import ClipSize

_SIZES = (
    "By default clips are as those that the pipeline of --encoders was trained on, if it is ours (tiny: 25 frames of "
    "64 x 64 at 12 a second). With a backbone of others they are MTV's, whatever that backbone was trained on: 49 "
    "frames of 480 x 720."
)


def _parser() -> argparse.ArgumentParser:
    top = parser("curate", "Turn videos, or synthetic clips, into shards that training reads.")
    commands = top.add_subparsers(dest="command", required=True)
    help_format = argparse.ArgumentDefaultsHelpFormatter
    build = commands.add_parser(
        "run",
        help="make shards of a folder of videos",
        description=f"Make shards of a folder of videos. {_SIZES} Then clips have each video's own rate, and none has "
        "its first three frames.",
        formatter_class=help_format,
    )
    build.add_argument(
        "--videos", type=Path, required=True, help="folder of videos, each with a .json beside it"
    )
    _add_common(build)
    build.add_argument(
        "--fps",
        type=_rate_or_native,
        help="frames a second, or `native`: each video's own (default: see above)",
    )
    build.add_argument("--stride", type=int, help="frames between starts of clips (default: num-frames)")
    build.add_argument(
        "--skip-frames",
        type=int,
        help="frames to leave out at the start of each video (default: 3 at native rate, as MTV, else 0)",
    )
    build.add_argument(
        "--demixer", default=DEFAULT_DEMIXER, choices=sorted(DEMIXERS), help="separates the sound"
    )
    add_normalize_loudness(build)
    build.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first video that cannot be used, with exit code 1 (default: leave it out and say so; exit "
        "code 1 if none can be used)",
    )
    theatre = commands.add_parser(
        "theatre",
        help="make shards of synthetic clips",
        description="Make shards of synthetic clips. A fourth of those with speech have a real voice, a third of "
        f"those with effects a real sound, from the recordings bundled for training (mtv_jax/assets/sounds). {_SIZES}",
        formatter_class=help_format,
    )
    _add_common(theatre)
    theatre.add_argument("--fps", type=frame_rate, help="frames a second (default: see above, or 24)")
    theatre.add_argument("--clips", type=int, default=400, help="how many")
    theatre.add_argument("--seed", type=int, default=0, help="of the clips; below 2**32")
    _add_scene(commands)
    verify = commands.add_parser(
        "verify",
        help="read every shard once and check hash and records",
        description="Read every shard and check its hash, its count and each record. Training checks sizes only. "
        "Shards found whole are remembered in verified.json beside them and not read again until they change.",
    )
    verify.add_argument("shards", type=Path, help="folder of shards")
    verify.add_argument("--again", action="store_true", help="read those too that were found whole before")
    return top


def _add_common(command: argparse.ArgumentParser) -> None:
    """What every way to make shards takes."""
    command.add_argument("--out", type=Path, required=True, help="folder for the shards")
    command.add_argument("--encoders", default="tiny", help="pipeline folder or preset whose encoders to use")
    command.add_argument("--vae", help="folder with another autoencoder (or the training directory of one)")
    command.add_argument("--frames-only", action="store_true", help="keep pixels, to train an autoencoder")
    command.add_argument("--num-frames", type=int, help="frames a clip, 1 + 4k (default: see above)")
    command.add_argument("--height", type=int, help="pixels (default: see above)")
    command.add_argument("--width", type=int, help="pixels (default: see above)")
    add_overwrite(command)
    add_force(command)


def _add_scene(commands: Any) -> None:
    """The command that makes a folder for `evaluate --scene`."""
    scene = commands.add_parser(
        "scene",
        help="make a scene folder, which `evaluate --scene` measures a video by",
        description="Make a scene folder: speech.flac, effects.flac, music.flac, and scene.json with prompt, length "
        "and what is to be seen when. By default it is a clip of the theatre that no training can reach; with "
        "--prompt, a scene of your own and your sounds. mtv_jax/evaluation/scene.py says what scene.json holds.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    scene.add_argument("--out", type=Path, required=True, help="folder to make")
    scene.add_argument("--seed", type=whole_number, default=0, help="of the theatre")
    scene.add_argument("--index", type=whole_number, default=0, help="of the clip in it")
    scene.add_argument(
        "--real-sounds", action="store_true", help="speech and effects of the clip are held-out recordings"
    )
    scene.add_argument(
        "--prompt",
        help="of a scene of your own, in the sentences that `python -m mtv_jax.sample --preset tiny --describe` shows",
    )
    for track in TRACKS:
        scene.add_argument(
            f"--{track}", help="sound file, with --prompt; a track that is not given is silence"
        )
    scene.add_argument(
        "--onsets",
        type=seconds,
        help="seconds at which the prop is struck, such as 0.3,0.9, with --prompt (default: where it is heard)",
    )
    scene.add_argument(
        "--num-frames", type=whole_number, help="of the video (default: 25, or as long as the longest sound)"
    )
    scene.add_argument("--fps", type=frame_rate, default=Fraction(12), help="frames a second")
    add_overwrite(scene)


def main(argv: list[str]) -> int | None:
    """Runs the command; 1 if no video of a folder could be used, or with --strict one could not."""
    args = _parser().parse_args(argv)
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
        demixer=args.demixer,
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
            raise UserError("sounds and onsets of your own need --prompt, which says what is to be seen")
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


def _rate_or_native(text: str) -> Fraction | str:
    from mtv_jax.curation.making import NATIVE

    return text if text == NATIVE else frame_rate(text)


if __name__ == "__main__":
    run(main)
