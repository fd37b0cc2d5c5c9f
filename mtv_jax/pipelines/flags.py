"""The flags of `python -m mtv_jax.sample`, in groups."""

import argparse
from pathlib import Path

from mtv_jax.audio.separation.flags import add_separator
from mtv_jax.io.cli import add_force, add_normalize_loudness, add_overwrite, frame_rate, parser
from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.several import parse_seeds

SAMPLERS = ("dpm++", "ddim", "ddpm")


def sample_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    top = parser("sample", "Make a video of a prompt that follows its sound.")
    add_model(top)
    add_prompt(top)
    add_output(top)
    add_sound(top.add_argument_group("sound"))
    add_sampling(top.add_argument_group("sampling"))
    add_size(top.add_argument_group("size"))
    add_force(top)
    return top


def add_model(top: argparse.ArgumentParser) -> None:
    """Which pipeline, and how it computes."""
    source = top.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--preset",
        metavar="NAME_OR_FOLDER",
        help="a bundled pipeline (tiny), a pipeline folder, or a training directory",
    )
    source.add_argument("--checkpoint", dest="former_preset", help=argparse.SUPPRESS)
    top.add_argument(
        "--describe",
        action="store_true",
        help="print what the preset or pipeline folder can do, and make no video",
    )
    top.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="what networks compute in"
    )
    top.add_argument("--vae-tiling", action="store_true", help="decode in overlapping parts, in less memory")


def add_prompt(top: argparse.ArgumentParser) -> None:
    """What is to be seen."""
    prompts = top.add_mutually_exclusive_group(required=True)
    prompts.add_argument("--prompt", help="what is to be seen")
    prompts.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="a text file with a prompt in each line: a video of each (see --out)",
    )
    top.add_argument(
        "--negative-prompt", help="what guidance leads away from; needs some (default: the model's)"
    )
    top.add_argument(
        "--keyframe",
        action="append",
        default=[],
        metavar="FRAME=FILE",
        help="a picture the video has at a frame (transparent parts are white); may be repeated",
    )


def add_output(top: argparse.ArgumentParser) -> None:
    """Where the videos go."""
    top.add_argument(
        "--out",
        type=Path,
        required=True,
        help="file to write: .mp4, or .gif without sound. With --seeds or --prompts each video has a number in its "
        "name: x.mp4 gives x_seed0.mp4, x_prompt0.mp4 or x_prompt0_seed0.mp4, and a folder out_seed0.mp4 ... in it",
    )
    add_overwrite(top)


def add_sound(group: argparse._ArgumentGroup) -> None:
    """What is to be heard."""
    group.add_argument(
        "--tracks",
        metavar="DIR",
        help="folder of tracks by name (speech.wav, effects.flac, ...), such as mtv_jax.demix writes; a track given "
        "by its own flag replaces that of the folder",
    )
    group.add_argument("--speech", help="sound file that moves lips")
    group.add_argument("--speech2", help="sound file of the second speaker, for a model of two")
    group.add_argument("--effects", help="sound file that times events")
    group.add_argument("--music", help="sound file that sets the mood")
    group.add_argument(
        "--audio", help="one mixed file (or a video's sound) instead of tracks; it is separated first"
    )
    add_separator(group, "--audio")
    add_normalize_loudness(group)


def add_sampling(group: argparse._ArgumentGroup) -> None:
    """How to sample."""
    seeds = group.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=0, help="the same seed gives the same video")
    seeds.add_argument(
        "--seeds",
        type=parse_seeds,
        metavar="A:B|A,B,...",
        help="a video of each: 0:4 is 0 to 3, 0,3,7 are three (see --out); networks are loaded and compiled once",
    )
    group.add_argument("--steps", type=int, help="sampling steps (default: the model's; most 50, tiny 8)")
    group.add_argument(
        "--guidance",
        type=float,
        help="pull of text and sound; 1 is none (default: the model's; most 3.5, tiny 1)",
    )
    group.add_argument(
        "--guidance-schedule",
        choices=("constant", "dynamic", "dynamic_diffusers"),
        default="constant",
        help="how guidance goes over the steps",
    )
    group.add_argument(
        "--sampler", choices=SAMPLERS, help="how to step (default: the model's; most dpm++, tiny ddim)"
    )


def add_size(group: argparse._ArgumentGroup) -> None:
    """How long and how large."""
    group.add_argument(
        "--num-frames",
        type=_num_frames,
        metavar="N|auto",
        help="1 + 4k; for tiny any. auto: as many as the sound fills, where the model is known to keep in step for "
        "so long (tiny: up to 241), else and without sound the model's (default: auto)",
    )
    group.add_argument(
        "--height", type=int, help="pixels, divisible by 16, for tiny by 32 (default: the model's)"
    )
    group.add_argument(
        "--width", type=int, help="pixels, divisible by 16, for tiny by 32 (default: the model's)"
    )
    group.add_argument("--fps", type=frame_rate, help="frames a second (default: the model's)")


def _num_frames(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames, nor auto") from error


def parse_keyframes(options: list[str]) -> dict[int, str]:
    """The picture files by frame of flags such as `0=first.png`. Raises UserError for any other."""
    pictures = {}
    for option in options:
        frame, equals, file = option.partition("=")
        if not equals or not frame.isdecimal() or not file:
            raise UserError(f"--keyframe {option}: must be FRAME=FILE, such as 0=first.png")
        if int(frame) in pictures:
            raise UserError(f"--keyframe {option}: frame {frame} has a picture already")
        pictures[int(frame)] = file
    return pictures
