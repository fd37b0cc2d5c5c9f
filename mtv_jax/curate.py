"""`python -m mtv_jax.curate`: from a folder of videos to shards, and shards checked."""

import argparse
from pathlib import Path

from mtv_jax.audio.demix import DEFAULT_DEMIXER, DEMIXERS
from mtv_jax.io.cli import frame_rate, parser, run
from mtv_jax.io.errors import UserError


def _parser() -> argparse.ArgumentParser:
    top = parser("curate", "Turn a folder of videos into shards that training reads.")
    commands = top.add_subparsers(dest="command", required=True)
    help_format = argparse.ArgumentDefaultsHelpFormatter
    build = commands.add_parser("run", help="make shards of a folder of videos", formatter_class=help_format)
    build.add_argument(
        "--videos", type=Path, required=True, help="folder of videos, each with a .json beside it"
    )
    build.add_argument("--out", type=Path, required=True, help="folder for the shards")
    build.add_argument("--encoders", default="tiny", help="pipeline folder or preset whose encoders to use")
    build.add_argument("--vae", help="folder with another autoencoder (or the training directory of one)")
    build.add_argument("--frames-only", action="store_true", help="keep pixels, to train an autoencoder")
    build.add_argument("--num-frames", type=int, help="frames a clip, 1 + 4k (default: the encoders')")
    build.add_argument("--fps", type=frame_rate, help="frames a second (default: the encoders')")
    build.add_argument("--height", type=int, help="pixels (default: the encoders')")
    build.add_argument("--width", type=int, help="pixels (default: the encoders')")
    build.add_argument("--stride", type=int, help="frames between starts of clips (default: num-frames)")
    build.add_argument(
        "--demixer", default=DEFAULT_DEMIXER, choices=sorted(DEMIXERS), help="separates the sound"
    )
    build.add_argument("--overwrite", action="store_true", help="replace shards that are there")
    verify = commands.add_parser("verify", help="read every shard again and check count and hash")
    verify.add_argument("shards", type=Path, help="folder of shards")
    return top


def main(argv: list[str]) -> None:
    """Runs the command."""
    args = _parser().parse_args(argv)
    if args.command == "verify":
        _verify(args.shards)
    else:
        _build(args)


def _build(args: argparse.Namespace) -> None:
    from mtv_jax.curation.build import BuildConfig, build_shards
    from mtv_jax.curation.encoders import Encoders
    from mtv_jax.weights.folder import pipeline_folder, read_defaults

    if (args.out / "manifest.json").exists() and not args.overwrite:
        raise UserError(f"{args.out}: has shards already; give --overwrite to replace them")
    defaults = read_defaults(pipeline_folder(args.encoders))
    size = defaults.replace(num_frames=args.num_frames, fps=args.fps, height=args.height, width=args.width)
    config = BuildConfig(
        size,
        stride=size.num_frames if args.stride is None else args.stride,
        frames_only=args.frames_only,
        demixer=args.demixer,
    )
    encoders = None if args.frames_only else Encoders.from_pretrained(args.encoders, args.vae)
    manifest = build_shards(args.videos, args.out, encoders, config)
    print(
        f"{args.out}: {manifest['num_records']} clips of {size.num_frames} frames in {len(manifest['shards'])} shards"
    )


def _verify(directory: Path) -> None:
    from mtv_jax.data.shards import open_shards

    shards = open_shards(directory, verify=True)
    for number in range(len(shards)):
        shards.read(number)
    print(f"{directory}: {len(shards)} records in {len(shards.manifest['shards'])} shards, all whole")


if __name__ == "__main__":
    run(main)
