"""The flags of `python -m mtv_jax.curate`, by subcommand."""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.audio.separation.flags import add_separator
from mtv_jax.io.cli import (
    add_force,
    add_normalize_loudness,
    add_overwrite,
    frame_rate,
    parser,
    seconds,
    whole_number,
)
from mtv_jax.names import TRACKS

NATIVE = "native"
"""The value of `--fps` that keeps the rate of each video."""

_SIZES = (
    "By default clips are as those that the pipeline of --encoders was trained on, if it is ours (tiny: 25 frames of "
    "64 x 64 at 12 a second). With a backbone of others they are MTV's, whatever that backbone was trained on: 49 "
    "frames of 480 x 720."
)


def curate_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
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
    add_separator(build, "the sound")
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
        "--prompt, a scene from your prompt and sounds. mtv_jax/evaluation/scene.py documents scene.json.",
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
        help="of your scene, in the form that `python -m mtv_jax.sample --preset tiny --describe` shows",
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


def _rate_or_native(text: str) -> Fraction | str:
    return text if text == NATIVE else frame_rate(text)
