"""`python -m mtv_jax.sample`: a video, or several, from a prompt, sound, or the sources of sound."""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtv_jax.io.cli import run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_outputs
from mtv_jax.pipelines.flags import flag_of, named_preset, parse_prompts, parse_sample, sample_parser
from mtv_jax.pipelines.several import Several, Wanted, boxes_file, make_videos
from mtv_jax.pipelines.timeline.prompts import texts_of
from mtv_jax.pipelines.timeline.story import read_story, with_flags

if TYPE_CHECKING:
    from mtv_jax.pipelines.preflight import Preflight


def main(argv: list[str]) -> int:
    """Runs the command; of several videos those that fail are reported, and the exit status is the first one's."""
    if {"-h", "--help", "--describe"} & set(argv):
        _describe(argv)
        return 0
    args, options = parse_sample(argv)
    if args.list_sources is not None:
        _list_sources(args)
        return 0
    if args.out is None and not args.dry_run:
        raise UserError("--out: name the file to write, such as --out out.mp4")
    prompt, seed = parse_prompts(args), args.seed
    if args.story is not None:
        story = read_story(args.story)
        prompt, seed = prompt or story.pop("prompt"), story.pop("seed", 0) if seed is None else seed
        options = with_flags(
            {key: value for key, value in story.items() if key not in ("prompt", "seed")}, options
        )
    several = Several(args.prompts, args.seeds)
    wanted = several.videos(args.out or Path("out.mp4"), prompt, seed or 0, force=args.force)
    if not args.dry_run:
        _check_files(args, wanted, options)
    checked = _check(args, wanted, options)
    if args.dry_run:
        _show_plans(checked)
        return 0

    from mtv_jax.pipelines.base import Pipeline

    started = time.monotonic()
    pipe = Pipeline.from_pretrained(args.preset, dtype=args.dtype)
    if pipe.untrained:
        print(f"note: random weights, not trained: {', '.join(pipe.untrained)}")
    return make_videos(pipe, wanted, checked.arguments, started=started, draw_boxes=args.draw_boxes)


def _show_plans(checked: "Preflight") -> None:
    """Prints the plan for each prompt; seeds make no difference."""
    from mtv_jax.pipelines.timeline.show import timeline_lines

    size = {"width": checked.clip.width, "height": checked.clip.height}
    plans = [timeline_lines(plan, checked.sounds, checked.tracks, **size) for plan in checked.timelines]
    print("\n\n".join("\n".join(lines) for lines in plans))


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
    inputs = [options[name] for name in ("speech", "effects", "music", "audio") if name in options]
    inputs += [*options.get("tracks", {}).values(), *options.get("keyframes", {}).values()]
    inputs += [source.sound for source in map(parse_source, args.sources) if source.sound is not None]
    check_outputs(outs, overwrite=args.overwrite, inputs=inputs)


def _check(args: argparse.Namespace, wanted: Sequence[Wanted], options: Mapping[str, Any]) -> "Preflight":
    """The call with its sounds decoded, and its plans.

    Raises UserError for errors that are known before networks are loaded.
    """
    from mtv_jax.io.limits import check_guidance
    from mtv_jax.ops.seeds import check_seed
    from mtv_jax.pipelines.loading import system_of
    from mtv_jax.pipelines.presets import pipeline_folder
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
    prompts = list({repr(video.prompt): video.prompt for video in wanted}.values())
    for prompt in prompts:
        if prompt or system.needs_prompt:
            texts_of(prompt)
    for video in wanted:
        check_seed(video.seed)
    scale = options.get("guidance_scale")
    if scale is not None:
        check_guidance(scale)
    checked = system.preflight(folder, options, prompts)
    at_once = max(timeline.frames_at_once for timeline in checked.timelines)
    check_memory(
        args.preset,
        checked.clip.replace(num_frames=at_once),
        guidance_scale=1.0 if scale == 1 else None if scale is None else 2.0,
        dtype=args.dtype,
        tiled=args.vae_tiling,
        force=args.force,
    )
    return checked


if __name__ == "__main__":
    run(main)
