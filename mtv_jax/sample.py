"""`python -m mtv_jax.sample`: a video, or several, from a prompt and sound."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtv_jax.audio.demix import DEFAULT_DEMIXER, DEMIXERS
from mtv_jax.io.cli import (
    add_force,
    add_normalize_loudness,
    add_overwrite,
    frame_rate,
    parser,
    report_error,
    run,
)
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_outputs, existing_file
from mtv_jax.io.limits import check_guidance
from mtv_jax.io.notes import note
from mtv_jax.sampling.several import Several, Wanted, parse_seeds

if TYPE_CHECKING:
    from mtv_jax.sampling.pipeline import Pipeline

SAMPLERS = ("dpm++", "ddim", "ddpm")
_SIZES = ("fps", "height", "width")
_SOUNDS = ("speech", "speech2", "effects", "music", "audio")


def _parser() -> argparse.ArgumentParser:
    top = parser("sample", "Make a video of a prompt that follows its sound.")
    _add_model(top)
    _add_prompt(top)
    _add_output(top)
    _add_sound(top.add_argument_group("sound"))
    _add_sampling(top.add_argument_group("sampling"))
    _add_size(top.add_argument_group("size"))
    add_force(top)
    return top


def _add_model(top: argparse.ArgumentParser) -> None:
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


def _add_prompt(top: argparse.ArgumentParser) -> None:
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


def _add_output(top: argparse.ArgumentParser) -> None:
    top.add_argument(
        "--out",
        type=Path,
        required=True,
        help="file to write: .mp4, or .gif without sound. With --seeds or --prompts each video has a number in its "
        "name: x.mp4 gives x_seed0.mp4, x_prompt0.mp4 or x_prompt0_seed0.mp4, and a folder out_seed0.mp4 ... in it",
    )
    add_overwrite(top)


def _add_sound(group: argparse._ArgumentGroup) -> None:
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
    group.add_argument(
        "--demixer", default=DEFAULT_DEMIXER, choices=sorted(DEMIXERS), help="separates --audio"
    )
    add_normalize_loudness(group)


def _add_sampling(group: argparse._ArgumentGroup) -> None:
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


def _add_size(group: argparse._ArgumentGroup) -> None:
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


def _told(argv: list[str]) -> bool:
    """Says what a preset knows, for --describe, and behind the usage for --help; whether that was asked for."""
    wants_help = bool({"-h", "--help"} & set(argv))
    if not wants_help and "--describe" not in argv:
        return False
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--preset", "--checkpoint")
    pipeline = finder.parse_known_args(argv)[0].preset
    if wants_help:
        print(_parser().format_help())
    elif pipeline is None:
        raise UserError("--describe: of what? give --preset NAME_OR_FOLDER too")
    from mtv_jax.sampling.describe import describe_pipeline
    from mtv_jax.weights.folder import PRESETS

    print(describe_pipeline(pipeline or PRESETS[0]))
    return True


def main(argv: list[str]) -> int:
    """Runs the command; of several videos those that fail are told, and the exit status is the first one's."""
    if _told(argv):
        return 0
    args = _parser().parse_args(argv)
    if args.former_preset is not None:
        note("--checkpoint is called --preset now")
        args.preset = args.former_preset
    several = Several(args.prompts, args.seeds)
    wanted = several.videos(args.out, args.prompt, args.seed, force=args.force)
    options = _options(args)
    check_outputs(
        [video.out for video in wanted], overwrite=args.overwrite, inputs=options["tracks"].values()
    )
    _check(args, wanted, options)
    from mtv_jax.sampling.pipeline import Pipeline

    started = time.monotonic()
    pipe = Pipeline.from_pretrained(args.preset, dtype=args.dtype)
    if pipe.untrained:
        print(f"note: random weights, not trained: {', '.join(pipe.untrained)}")
    if len(wanted) == 1:
        _make(pipe, wanted[0], options, started)
        return 0
    return _make_all(pipe, wanted, options)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """What `Pipeline.__call__` is told for every video."""
    from mtv_jax.sampling.request import sound_files, track_folder

    tracks = track_folder(args.tracks) if args.tracks is not None else None
    return {
        "negative_prompt": args.negative_prompt,
        "tracks": sound_files(tracks, {name: getattr(args, name) for name in _SOUNDS}),
        "demixer": args.demixer,
        "normalize_loudness": args.normalize_loudness,
        "keyframes": _keyframes(args.keyframe),
        "num_frames": args.num_frames,
        "fps": args.fps,
        "height": args.height,
        "width": args.width,
        "num_inference_steps": args.steps,
        "guidance_scale": args.guidance,
        "guidance": args.guidance_schedule,
        "sampler": args.sampler,
        "vae_tiling": args.vae_tiling,
        "force": args.force,
    }


def _check(args: argparse.Namespace, wanted: list[Wanted], options: dict[str, Any]) -> None:
    """Raises UserError for what can be known to be wrong before the networks are there."""
    from mtv_jax.ops.seeds import check_seed
    from mtv_jax.sampling.request import check_prompt

    for video in wanted:
        check_prompt(video.prompt)
        check_seed(video.seed)
    if args.guidance is not None:
        check_guidance(args.guidance)
    for file in (*options["tracks"].values(), *options["keyframes"].values()):
        existing_file(file)
    _check_size(args, options["tracks"])


def _check_size(args: argparse.Namespace, tracks: Mapping[str, str | Path]) -> None:
    """Raises UserError for a video that the model cannot make, or for which there is no memory."""
    from mtv_jax.planning.memory import check_memory
    from mtv_jax.sampling.request import video_size
    from mtv_jax.weights.folder import pipeline_folder, read_defaults
    from mtv_jax.weights.pretrained import load_config

    folder = pipeline_folder(args.preset)
    vae: Any = load_config(folder / "vae")
    size = video_size(
        read_defaults(folder),
        tracks,
        num_frames=args.num_frames,
        frames=vae.temporal_compression_ratio,
        pixels=vae.spatial_compression_ratio * load_config(folder / "transformer").patch_size,
        force=args.force,
        num_inference_steps=args.steps,
        **{name: getattr(args, name) for name in _SIZES},
    )
    check_memory(
        folder,
        {name: getattr(size, name) for name in ("num_frames", *_SIZES)},
        guidance_scale=args.guidance,
        dtype=args.dtype,
        tiled=args.vae_tiling,
        force=args.force,
    )


def _make_all(pipe: "Pipeline", wanted: list[Wanted], options: dict[str, Any]) -> int:
    """Makes every video, whatever becomes of the others; returns the exit status of the first that failed."""
    codes = []
    for number, video in enumerate(wanted, 1):
        print(f"video {number} of {len(wanted)}: {video.out}", file=sys.stderr)
        try:
            _make(pipe, video, options, time.monotonic())
        except Exception as error:
            codes.append(report_error(error))
    if codes:
        print(f"{len(codes)} of {len(wanted)} videos failed", file=sys.stderr)
    return codes[0] if codes else 0


def _make(pipe: "Pipeline", wanted: Wanted, options: dict[str, Any], started: float) -> None:
    """Makes and writes a video, and prints what it is; `started` is when the clock was."""
    video = pipe(wanted.prompt, seed=wanted.seed, **options)
    video.save(wanted.out)
    count, height, width, _ = video.frames.shape
    sound = "silent" if video.audio is None or wanted.out.suffix.lower() == ".gif" else "with sound"
    print(
        f"{wanted.out}: {count} frames of {width} x {height}, {video.duration:.2f} s, "
        f"{sound}, made in {time.monotonic() - started:.1f} s",
        flush=True,
    )


def _num_frames(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames, nor auto") from error


def _keyframes(options: list[str]) -> dict[int, str]:
    pictures = {}
    for option in options:
        frame, separator, file = option.partition("=")
        if not separator or not frame.isdecimal() or not file:
            raise UserError(f"--keyframe {option}: must be FRAME=FILE, such as 0=first.png")
        if int(frame) in pictures:
            raise UserError(f"--keyframe {option}: frame {frame} has a picture already")
        pictures[int(frame)] = file
    return pictures


if __name__ == "__main__":
    run(main)
