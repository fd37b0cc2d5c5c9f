"""`python -m mtv_jax.curate`: from a folder of videos, or a synthetic theatre, to shards; and shards checked."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtv_jax.audio.demix import DEFAULT_DEMIXER, DEMIXERS
from mtv_jax.io.cli import frame_rate, parser, run
from mtv_jax.io.errors import UserError

if TYPE_CHECKING:
    from mtv_jax.curation.encoders import Encoders
    from mtv_jax.weights.folder import PipelineDefaults


def _parser() -> argparse.ArgumentParser:
    top = parser("curate", "Turn videos, or synthetic clips, into shards that training reads.")
    commands = top.add_subparsers(dest="command", required=True)
    help_format = argparse.ArgumentDefaultsHelpFormatter
    build = commands.add_parser("run", help="make shards of a folder of videos", formatter_class=help_format)
    build.add_argument(
        "--videos", type=Path, required=True, help="folder of videos, each with a .json beside it"
    )
    _add_common(build)
    build.add_argument("--stride", type=int, help="frames between starts of clips (default: num-frames)")
    build.add_argument(
        "--demixer", default=DEFAULT_DEMIXER, choices=sorted(DEMIXERS), help="separates the sound"
    )
    theatre = commands.add_parser(
        "theatre",
        help="make shards of synthetic clips",
        description="Make shards of synthetic clips. A fourth of those with speech have a real voice, a third of "
        "those with effects a real sound, from the recordings bundled for training (mtv_jax/assets/sounds).",
        formatter_class=help_format,
    )
    _add_common(theatre)
    theatre.add_argument("--clips", type=int, default=400, help="how many")
    theatre.add_argument("--seed", type=int, default=0, help="of the clips; below 2**32")
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
    command.add_argument("--num-frames", type=int, help="frames a clip, 1 + 4k (default: the encoders')")
    command.add_argument("--fps", type=frame_rate, help="frames a second (default: the encoders')")
    command.add_argument("--height", type=int, help="pixels (default: the encoders')")
    command.add_argument("--width", type=int, help="pixels (default: the encoders')")
    command.add_argument("--overwrite", action="store_true", help="replace shards that are there")


def main(argv: list[str]) -> None:
    """Runs the command."""
    args = _parser().parse_args(argv)
    {"run": _build, "theatre": _theatre, "verify": _verify}[args.command](args)


def _build(args: argparse.Namespace) -> None:
    from mtv_jax.curation.build import BuildConfig, build_shards

    size = _size(args)
    stride = size.num_frames if args.stride is None else args.stride
    config = BuildConfig(size, stride=stride, frames_only=args.frames_only, demixer=args.demixer)
    _report(args, build_shards(args.videos, args.out, _encoders(args), config))


def _theatre(args: argparse.Namespace) -> None:
    from mtv_jax.curation.theatre import TheatreBuild, build_theatre

    config = TheatreBuild(_size(args), clips=args.clips, seed=args.seed, frames_only=args.frames_only)
    _report(args, build_theatre(args.out, _encoders(args), config))


def _size(args: argparse.Namespace) -> "PipelineDefaults":
    """Of the clips to make. Raises UserError if there are shards that may not be replaced."""
    from mtv_jax.weights.folder import pipeline_folder, read_defaults

    if (args.out / "manifest.json").exists() and not args.overwrite:
        raise UserError(f"{args.out}: has shards already; give --overwrite to replace them")
    defaults = read_defaults(pipeline_folder(args.encoders))
    return defaults.replace(num_frames=args.num_frames, fps=args.fps, height=args.height, width=args.width)


def _encoders(args: argparse.Namespace) -> "Encoders | None":
    from mtv_jax.curation.encoders import Encoders

    return None if args.frames_only else Encoders.from_pretrained(args.encoders, args.vae)


def _report(args: argparse.Namespace, manifest: dict[str, Any]) -> None:
    frames, shards = manifest["num_frames"], len(manifest["shards"])
    print(f"{args.out}: {manifest['num_records']} clips of {frames} frames in {shards} shards")
    for subset in manifest["subsets"]:
        print(f"  {subset['subset']}: {subset['count']} clips")


def _verify(args: argparse.Namespace) -> None:
    from mtv_jax.data.verify import verify_shards

    shards, read = verify_shards(args.shards, again=args.again)
    total = len(shards.manifest["shards"])
    known = f" ({total - read} of them found whole before)" if read < total else ""
    print(f"{args.shards}: {len(shards)} records in {total} shards{known}, all whole")


if __name__ == "__main__":
    run(main)
