"""`python -m mtv_jax.sample`: a video, or several, from a prompt and sound."""

import argparse
import time
from collections.abc import Sequence
from typing import Any

from mtv_jax.io.cli import run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_outputs, existing_file
from mtv_jax.io.notes import note
from mtv_jax.pipelines.flags import call_options, named_preset, sample_parser
from mtv_jax.pipelines.several import Several, Wanted, make_videos


def main(argv: list[str]) -> int:
    """Runs the command; of several videos those that fail are reported, and the exit status is the first one's."""
    if {"-h", "--help", "--describe"} & set(argv):
        _describe(argv)
        return 0
    args = sample_parser().parse_args(argv)
    if args.former_preset is not None:
        note("--checkpoint is called --preset now")
        args.preset = args.former_preset
    several = Several(args.prompts, args.seeds)
    wanted = several.videos(args.out, args.prompt, args.seed, force=args.force)
    options = call_options(args)
    check_outputs(
        [video.out for video in wanted], overwrite=args.overwrite, inputs=options["tracks"].values()
    )
    _check(args, wanted, options)

    from mtv_jax.pipelines.base import Pipeline

    started = time.monotonic()
    pipe = Pipeline.from_pretrained(args.preset, dtype=args.dtype)
    if pipe.untrained:
        print(f"note: random weights, not trained: {', '.join(pipe.untrained)}")
    return make_videos(pipe, wanted, options, started=started)


def _describe(argv: list[str]) -> None:
    """Prints what a preset can do, for --describe; for --help, the usage before that of `tiny` or the one given."""
    preset = named_preset(argv)
    if {"-h", "--help"} & set(argv):
        print(sample_parser().format_help())
    elif preset is None:
        raise UserError("--describe: of what? give --preset NAME_OR_FOLDER too")
    from mtv_jax.pipelines.describe import describe_pipeline
    from mtv_jax.pipelines.presets import PRESETS

    print(describe_pipeline(preset or PRESETS[0]))


def _check(args: argparse.Namespace, wanted: Sequence[Wanted], options: dict[str, Any]) -> None:
    """Raises UserError for errors that can be detected before networks are loaded; decodes the sounds."""
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


if __name__ == "__main__":
    run(main)
