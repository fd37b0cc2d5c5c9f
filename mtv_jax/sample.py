"""`python -m mtv_jax.sample`: a video from a prompt and sound."""

import argparse
import time
from pathlib import Path

from mtv_jax.audio.demix import DEFAULT_DEMIXER, DEMIXERS
from mtv_jax.io.cli import frame_rate, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.weights.folder import PRESETS

SAMPLERS = ("dpm++", "ddim", "ddpm")


def _parser() -> argparse.ArgumentParser:
    top = parser("sample", "Make a video of a prompt that follows its sound.")
    source = top.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", help="a bundled pipeline: tiny")
    source.add_argument("--checkpoint", help="a pipeline folder, or a training directory")
    top.add_argument("--prompt", required=True, help="what is to be seen")
    top.add_argument(
        "--negative-prompt", help="what guidance leads away from; needs some (default: the model's)"
    )
    top.add_argument("--out", type=Path, required=True, help="file to write: .mp4, or .gif without sound")
    top.add_argument("--speech", help="sound file that moves lips")
    top.add_argument("--speech2", help="sound file of the second speaker, for a model of two")
    top.add_argument("--effects", help="sound file that times events")
    top.add_argument("--music", help="sound file that sets the mood")
    top.add_argument(
        "--audio", help="one mixed file (or a video's sound) instead of tracks; it is separated first"
    )
    top.add_argument("--demixer", default=DEFAULT_DEMIXER, choices=sorted(DEMIXERS), help="separates --audio")
    top.add_argument(
        "--keyframe",
        action="append",
        default=[],
        metavar="FRAME=FILE",
        help="a picture the video has at a frame; may be repeated",
    )
    top.add_argument("--seed", type=int, default=0, help="the same seed gives the same video")
    top.add_argument("--steps", type=int, help="sampling steps (default: the model's; most 50, tiny 8)")
    top.add_argument(
        "--guidance",
        type=float,
        help="pull of text and sound; 1 is none (default: the model's; most 3.5, tiny 1)",
    )
    top.add_argument(
        "--guidance-schedule",
        choices=("constant", "dynamic", "dynamic_diffusers"),
        default="constant",
        help="how guidance goes over the steps",
    )
    top.add_argument(
        "--sampler", choices=SAMPLERS, help="how to step (default: the model's; most dpm++, tiny ddim)"
    )
    top.add_argument("--num-frames", type=int, help="1 + 4k; for tiny any (default: the model's)")
    top.add_argument(
        "--height", type=int, help="pixels, divisible by 16, for tiny by 32 (default: the model's)"
    )
    top.add_argument(
        "--width", type=int, help="pixels, divisible by 16, for tiny by 32 (default: the model's)"
    )
    top.add_argument("--fps", type=frame_rate, help="frames a second (default: the model's)")
    top.add_argument("--vae-tiling", action="store_true", help="decode in overlapping parts, in less memory")
    top.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="what networks compute in"
    )
    top.add_argument(
        "--describe",
        action="store_true",
        help="say what the preset or pipeline folder knows, and make nothing",
    )
    top.add_argument(
        "--force", action="store_true", help="sample though the estimate says that memory does not hold it"
    )
    return top


def _told(argv: list[str]) -> bool:
    """Says what a preset knows, for --describe, and behind the usage for --help; whether that was asked for."""
    wants_help = bool({"-h", "--help"} & set(argv))
    if not wants_help and "--describe" not in argv:
        return False
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--preset")
    finder.add_argument("--checkpoint")
    found = finder.parse_known_args(argv)[0]
    pipeline = found.preset or found.checkpoint
    if wants_help:
        print(_parser().format_help())
    elif pipeline is None:
        raise UserError("--describe: of what? give --preset NAME_OR_FOLDER too")
    from mtv_jax.sampling.describe import describe_pipeline

    print(describe_pipeline(pipeline or PRESETS[0]))
    return True


def main(argv: list[str]) -> None:
    """Runs the command."""
    if _told(argv):
        return
    args = _parser().parse_args(argv)
    if args.out.suffix.lower() not in (".mp4", ".gif"):
        raise UserError(f"--out {args.out}: the name must end in .mp4 or .gif")
    from mtv_jax.planning.memory import check_memory
    from mtv_jax.sampling.pipeline import Pipeline

    started = time.monotonic()
    sizes = {name: getattr(args, name) for name in ("num_frames", "fps", "height", "width")}
    check_memory(
        args.preset or args.checkpoint,
        sizes,
        guidance_scale=args.guidance,
        dtype=args.dtype,
        tiled=args.vae_tiling,
        force=args.force,
    )
    pipe = Pipeline.from_pretrained(args.preset or args.checkpoint, dtype=args.dtype)
    if pipe.untrained:
        print(f"note: random weights, not trained: {', '.join(pipe.untrained)}")
    video = pipe(
        args.prompt,
        negative_prompt=args.negative_prompt,
        speech=args.speech,
        speech2=args.speech2,
        effects=args.effects,
        music=args.music,
        audio=args.audio,
        demixer=args.demixer,
        keyframes=_keyframes(args.keyframe),
        num_frames=args.num_frames,
        fps=args.fps,
        height=args.height,
        width=args.width,
        num_inference_steps=args.steps,
        guidance_scale=args.guidance,
        guidance=args.guidance_schedule,
        sampler=args.sampler,
        seed=args.seed,
        vae_tiling=args.vae_tiling,
    )
    video.save(args.out)
    count, height, width, _ = video.frames.shape
    sound = "silent" if video.audio is None or args.out.suffix.lower() == ".gif" else "with sound"
    print(
        f"{args.out}: {count} frames of {width} x {height}, {video.duration:.2f} s, "
        f"{sound}, made in {time.monotonic() - started:.1f} s"
    )


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
