"""The flags of `python -m mtv_jax.sample`, in groups."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtv_jax.audio.separation.flags import add_separator
from mtv_jax.io.cli import add_force, add_normalize_loudness, add_overwrite, frame_rate, parser
from mtv_jax.io.errors import UserError
from mtv_jax.names import SAMPLERS
from mtv_jax.pipelines.several import parse_seeds

_SOUNDS = ("speech", "speech2", "effects", "music", "audio")


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
    """Adds the pipeline and its precision."""
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
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="compute dtype of the networks"
    )
    top.add_argument("--vae-tiling", action="store_true", help="decode in overlapping parts, in less memory")


def add_prompt(top: argparse.ArgumentParser) -> None:
    """Adds what the video shows."""
    prompts = top.add_mutually_exclusive_group(required=True)
    prompts.add_argument("--prompt", help="description of the video")
    prompts.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="text file with a prompt per line; makes a video for each (see --out)",
    )
    top.add_argument(
        "--negative-prompt",
        help="what guidance steers away from; needs guidance above 1 (default: the model's)",
    )
    top.add_argument(
        "--keyframe",
        action="append",
        default=[],
        metavar="FRAME=FILE",
        help="picture that a frame of the video shows, transparent parts on white; may be repeated",
    )


def add_output(top: argparse.ArgumentParser) -> None:
    """Adds the output file."""
    top.add_argument(
        "--out",
        type=Path,
        required=True,
        help="file to write: .mp4, or .gif without sound. With --seeds or --prompts files are numbered: x.mp4 gives "
        "x_seed0.mp4, x_prompt0.mp4 or x_prompt0_seed0.mp4, and a folder gets out_seed0.mp4 and so on",
    )
    add_overwrite(top)


def add_sound(group: argparse._ArgumentGroup) -> None:
    """Adds the sound."""
    group.add_argument(
        "--tracks",
        metavar="DIR",
        help="folder of tracks by name (speech.wav, effects.flac, ...), as mtv_jax.demix writes it; a track given by "
        "its own flag takes precedence",
    )
    group.add_argument("--speech", help="sound file of the voice, which moves the lips")
    group.add_argument("--speech2", help="sound file of the second speaker, for a model of two")
    group.add_argument("--effects", help="sound file of the effects, which time events")
    group.add_argument("--music", help="sound file of the music, which sets the mood")
    group.add_argument("--audio", help="one mixed file (or a video) instead of tracks; it is separated first")
    add_separator(group, "--audio")
    add_normalize_loudness(group)


def add_sampling(group: argparse._ArgumentGroup) -> None:
    """Adds the sampler's options."""
    seeds = group.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=0, help="the same seed gives the same video")
    seeds.add_argument(
        "--seeds",
        type=parse_seeds,
        metavar="A:B|A,B,...",
        help="makes a video for each seed: 0:4 is 0 to 3 (see --out); networks are loaded and compiled once",
    )
    group.add_argument("--steps", type=int, help="sampling steps (default: the model's; mostly 50, tiny 8)")
    group.add_argument(
        "--guidance",
        type=float,
        help="guidance scale of text and sound; 1 disables guidance (default: the model's; mostly 3.5, tiny 1)",
    )
    group.add_argument(
        "--guidance-schedule",
        choices=("constant", "dynamic", "dynamic_diffusers"),
        default="constant",
        help="how the guidance scale varies over the steps",
    )
    group.add_argument(
        "--sampler", choices=SAMPLERS, help="sampler (default: the model's; mostly dpm++, tiny ddim)"
    )


def add_size(group: argparse._ArgumentGroup) -> None:
    """Adds length, size and frame rate."""
    group.add_argument(
        "--num-frames",
        type=_num_frames,
        metavar="N|auto",
        help="1 + 4k; any number for tiny. auto: the length of the sound, up to what the model is known to keep in "
        "sync (tiny: 241); otherwise, and without sound, the model's length (default: auto)",
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


def named_preset(argv: Sequence[str]) -> str | None:
    """The value of --preset among arguments that may be incomplete, for --help and --describe."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--preset", "--checkpoint")
    return finder.parse_known_args(argv)[0].preset


def call_options(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `Pipeline.__call__` that all videos of a command share, with the sounds as files by name."""
    from mtv_jax.pipelines.request import sound_files, track_folder

    tracks = track_folder(args.tracks) if args.tracks is not None else None
    same = ("negative_prompt", "separator", "normalize_loudness", "num_frames", "fps", "height", "width")
    return {
        **{name: getattr(args, name) for name in (*same, "sampler", "vae_tiling", "force")},
        "tracks": sound_files(tracks, {name: getattr(args, name) for name in _SOUNDS}),
        "keyframes": parse_keyframes(args.keyframe),
        "num_inference_steps": args.steps,
        "guidance_scale": args.guidance,
        "guidance": args.guidance_schedule,
    }
