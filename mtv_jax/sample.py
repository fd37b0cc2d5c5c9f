"""`python -m mtv_jax.sample`: a video, or several, from a prompt and sound."""

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from mtv_jax.io.cli import report_error, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_outputs, existing_file
from mtv_jax.io.notes import note
from mtv_jax.pipelines.flags import parse_keyframes, sample_parser
from mtv_jax.pipelines.several import Several, Wanted

if TYPE_CHECKING:
    from mtv_jax.pipelines.base import Pipeline

_SOUNDS = ("speech", "speech2", "effects", "music", "audio")


def main(argv: list[str]) -> int:
    """Runs the command; of several videos those that fail are reported, and the exit status is the first one's."""
    if _described(argv):
        return 0
    args = sample_parser().parse_args(argv)
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
    from mtv_jax.pipelines.base import Pipeline

    started = time.monotonic()
    pipe = Pipeline.from_pretrained(args.preset, dtype=args.dtype)
    if pipe.untrained:
        print(f"note: random weights, not trained: {', '.join(pipe.untrained)}")
    if len(wanted) == 1:
        _make(pipe, wanted[0], options, started)
        return 0
    return _make_all(pipe, wanted, options)


def _described(argv: list[str]) -> bool:
    """Says what a preset knows, for --describe, and after the usage for --help; whether that was asked for."""
    wants_help = bool({"-h", "--help"} & set(argv))
    if not wants_help and "--describe" not in argv:
        return False
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--preset", "--checkpoint")
    pipeline = finder.parse_known_args(argv)[0].preset
    if wants_help:
        print(sample_parser().format_help())
    elif pipeline is None:
        raise UserError("--describe: of what? give --preset NAME_OR_FOLDER too")
    from mtv_jax.pipelines.describe import describe_pipeline
    from mtv_jax.pipelines.presets import PRESETS

    print(describe_pipeline(pipeline or PRESETS[0]))
    return True


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `Pipeline.__call__` that all videos share."""
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


def _check(args: argparse.Namespace, wanted: list[Wanted], options: dict[str, Any]) -> None:
    """Raises UserError for what can be known to be wrong before the networks are there; decodes the sounds."""
    from mtv_jax.io.limits import check_guidance
    from mtv_jax.ops.seeds import check_seed
    from mtv_jax.pipelines.preflight import folder_limits
    from mtv_jax.pipelines.request import check_prompt, read_request
    from mtv_jax.planning.memory import check_memory

    for video in wanted:
        check_prompt(video.prompt)
        check_seed(video.seed)
    if args.guidance is not None:
        check_guidance(args.guidance)
    for file in (*options["tracks"].values(), *options["keyframes"].values()):
        existing_file(file)
    size = {name: options[name] for name in ("num_frames", "fps", "height", "width", "force")}
    limits = folder_limits(args.preset)
    steps = limits.defaults.sampling.num_inference_steps if args.steps is None else args.steps
    options["tracks"], clip = read_request(limits, options["tracks"], steps=steps, **size)
    check_memory(
        args.preset,
        clip,
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


if __name__ == "__main__":
    run(main)
