"""`python -m mtv_jax.sample`: a video, or several, from a prompt, sound, or the sources of sound."""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mtv_jax.io.cli import run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_outputs
from mtv_jax.pipelines.flags import call_options, flag_of, named_preset, sample_parser
from mtv_jax.pipelines.several import Several, Wanted, boxes_file, make_videos


def main(argv: list[str]) -> int:
    """Runs the command; of several videos those that fail are reported, and the exit status is the first one's."""
    if {"-h", "--help", "--describe"} & set(argv):
        _describe(argv)
        return 0
    args = sample_parser().parse_args(argv)
    if args.list_sources is not None:
        _list_sources(args)
        return 0
    if args.out is None:
        raise UserError("--out: name the file to write, such as --out out.mp4")
    several = Several(args.prompts, args.seeds)
    wanted = several.videos(args.out, args.prompt, args.seed, force=args.force)
    options = call_options(args)
    _check_files(args, wanted, options)
    options = _check(args, wanted, options)

    from mtv_jax.pipelines.base import Pipeline

    started = time.monotonic()
    pipe = Pipeline.from_pretrained(args.preset, dtype=args.dtype)
    if pipe.untrained:
        print(f"note: random weights, not trained: {', '.join(pipe.untrained)}")
    return make_videos(pipe, wanted, options, started=started, draw_boxes=args.draw_boxes)


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


def _list_sources(args: argparse.Namespace) -> None:
    """Prints which of some words are heard in a mix."""
    if args.audio is None:
        raise UserError("--list-sources: of what? give --audio FILE too")
    from mtv_jax.pipelines.maestro.listing import list_sources
    from mtv_jax.pipelines.presets import pipeline_folder

    for line in list_sources(pipeline_folder(args.preset), args.audio, args.list_sources):
        print(line)


def _check_files(args: argparse.Namespace, wanted: Sequence[Wanted], options: Mapping[str, Any]) -> None:
    """Raises UserError for outputs that are there already, or that are an input."""
    from mtv_jax.pipelines.maestro.sources import parse_source

    outs = [video.out for video in wanted]
    if args.draw_boxes:
        outs += [boxes_file(out) for out in outs]
    inputs = [options[name] for name in ("speech", "speech2", "effects", "music", "audio") if name in options]
    inputs += [*options.get("tracks", {}).values()]
    inputs += [source.sound for source in map(parse_source, args.sources) if source.sound is not None]
    check_outputs(outs, overwrite=args.overwrite, inputs=inputs)


def _check(args: argparse.Namespace, wanted: Sequence[Wanted], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their sounds decoded. Raises UserError for errors that are known before networks are loaded."""
    from mtv_jax.io.limits import check_guidance
    from mtv_jax.ops.seeds import check_seed
    from mtv_jax.pipelines.loading import system_of
    from mtv_jax.pipelines.presets import pipeline_folder
    from mtv_jax.pipelines.timeline.prompts import check_prompt
    from mtv_jax.planning.memory import check_memory

    folder = pipeline_folder(args.preset)
    system = system_of(folder)
    if foreign := [flag_of(name) for name in options if name not in system.arguments()]:
        raise UserError(
            f"{foreign[0]}: {args.preset} is a {system.__name__}, which does not take it; it takes "
            f"{', '.join(map(flag_of, system.own_arguments()))}"
        )
    if args.draw_boxes and "sources" not in system.own_arguments():
        raise UserError(f"--draw-boxes: {args.preset} is a {system.__name__}, whose sources have no boxes")
    for video in wanted:
        if video.prompt or system.needs_prompt:
            check_prompt(video.prompt)
        check_seed(video.seed)
    if args.guidance is not None:
        check_guidance(args.guidance)
    decoded, clip = system.preflight(folder, options)
    check_memory(
        args.preset,
        clip,
        guidance_scale=args.guidance,
        dtype=args.dtype,
        tiled=args.vae_tiling,
        force=args.force,
    )
    return decoded


if __name__ == "__main__":
    run(main)
