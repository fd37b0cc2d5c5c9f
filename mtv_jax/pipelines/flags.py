"""The flags of `python -m mtv_jax.sample`, in groups."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtv_jax.audio.separation.flags import add_separator
from mtv_jax.io.cli import (
    add_force,
    add_normalize_loudness,
    add_overwrite,
    count,
    frame_rate,
    parser,
    whole_number,
)
from mtv_jax.io.errors import UserError
from mtv_jax.names import LAYOUT_NAMES, MAESTRO_PRESETS, SAMPLERS
from mtv_jax.pipelines.several import parse_seeds
from mtv_jax.pipelines.timeline.plan import KEYFRAME_FITS, LONG_VIDEO
from mtv_jax.pipelines.timeline.prompts import Prompts


def sample_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    top = parser("sample", "Make a video of a prompt that follows its sound.")
    add_model(top)
    add_prompt(top)
    add_output(top)
    add_sound(top.add_argument_group("sound"))
    add_sources(top.add_argument_group("sources of sounds (Maestro)"))
    add_sampling(top.add_argument_group("sampling"))
    add_size(top.add_argument_group("size"))
    add_force(top)
    return top


def add_model(top: argparse.ArgumentParser) -> None:
    """Adds the pipeline and its precision."""
    top.add_argument(
        "--preset",
        "--checkpoint",
        required=True,
        metavar="NAME_OR_FOLDER",
        help="a bundled pipeline (tiny), a pipeline folder, or a training directory; both flags are the same",
    )
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
    prompts = top.add_mutually_exclusive_group()
    prompts.add_argument(
        "--prompt",
        action="append",
        help="description of the video, or of its beginning; only Maestro does without. Several are spread over it by "
        "--prompt-spacing",
    )
    prompts.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="text file with a prompt per line; makes a video for each (see --out)",
    )
    top.add_argument(
        "--prompt-at",
        action="append",
        default=[],
        metavar="SECOND=TEXT",
        help="prompt that holds from a second on (4='A woman ...'); may be repeated",
    )
    top.add_argument(
        "--prompt-spacing", choices=("even",), help="give each --prompt the same part of the video"
    )
    top.add_argument(
        "--transition",
        type=float,
        metavar="SECONDS",
        help="mix one prompt into the next over so many seconds around its time (default: 0, a cut)",
    )
    top.add_argument(
        "--story",
        type=Path,
        metavar="FILE",
        help="YAML file of the prompts, tracks, keyframes and all else of one video (docs/sampling.md); flags take "
        "precedence",
    )
    top.add_argument(
        "--negative-prompt",
        help="what guidance steers away from; needs guidance above 1 (default: the model's)",
    )
    top.add_argument(
        "--keyframe",
        action="append",
        default=[],
        metavar="WHEN=FILE",
        help="picture that a frame (48=a.png) or a second (2.5s=a.png) of the video shows, transparent parts on white; "
        "may be repeated",
    )
    top.add_argument(
        "--keyframe-fit",
        choices=KEYFRAME_FITS,
        help="how a picture of another shape is fitted: crop fills the frame, pad shows all of it on black (default: "
        "crop)",
    )


def add_output(top: argparse.ArgumentParser) -> None:
    """Adds the output file."""
    top.add_argument(
        "--out",
        type=Path,
        help="file to write: .mp4, or .gif without sound. With --seeds or --prompts files are numbered: x.mp4 gives "
        "x_seed0.mp4, x_prompt0.mp4 or x_prompt0_seed0.mp4, and a folder gets out_seed0.mp4 and so on",
    )
    add_overwrite(top)
    top.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan (windows, and which prompt, keyframe and track is where), and make no video",
    )
    top.add_argument(
        "--draw-boxes",
        action="store_true",
        help="write a copy with the boxes and names of the sources too: x.mp4 gives x_boxes.mp4",
    )


def add_sound(group: argparse._ArgumentGroup) -> None:
    """Adds the sound."""
    group.add_argument(
        "--tracks",
        metavar="DIR",
        help="folder of tracks by name (speech.wav, effects.flac, ...), as mtv_jax.demix writes it; a track given by "
        "its own flag takes precedence",
    )
    group.add_argument(
        "--speech",
        action="append",
        metavar="[PERSON=]FILE",
        help="sound file of the voice, which moves the lips; for a model of more speakers one for each, by the name in "
        "the prompt (Person2=b.wav)",
    )
    group.add_argument("--effects", help="sound file of the effects, which time events")
    group.add_argument("--music", help="sound file of the music, which sets the mood")
    group.add_argument("--audio", help="one mixed file (or a video) instead of tracks; it is separated first")
    add_separator(group, "--audio")
    add_normalize_loudness(group)


def add_sources(group: argparse._ArgumentGroup) -> None:
    """Adds the sources, and where they are seen."""
    group.add_argument(
        "--source",
        dest="sources",
        action="append",
        default=[],
        metavar="NAME[=FILE][@PLACE]",
        help="what makes a sound, in the mix of --audio or in a file of its own, and where it is seen; may be "
        "repeated. PLACE is left,top,right,bottom in 0 to 1 ('dog barking@0,.3,.5,.7'), boxes by time that it moves "
        "between (0s:0,.3,.5,.7;2s:.5,.3,1,.7), or background",
    )
    group.add_argument(
        "--layout",
        choices=LAYOUT_NAMES,
        default="auto",
        help="where sources without a place are seen: lr side by side, td one above the other, grid in two rows, "
        "stereo where they are heard between left and right; auto: lr for up to three, otherwise grid",
    )
    group.add_argument(
        "--source-separator",
        metavar="FOLDER",
        help="finds the sources in the mix: AudioSep (separator/, clap/) or a checkpoint of SAM Audio (default: the "
        "model's own AudioSep)",
    )
    group.add_argument(
        "--mosaic",
        choices=MAESTRO_PRESETS,
        help="Attention Mosaic as in the paper, or as in the released code, which has boxes of its own for two sources "
        "(default: the model's)",
    )
    group.add_argument(
        "--locating-steps",
        type=whole_number,
        metavar="N",
        help="steps of Object Locating, before Mosaic Denoising (default: the model's; 6 of 50)",
    )
    group.add_argument(
        "--list-sources",
        nargs="?",
        const="",
        metavar="WORDS",
        help="print which of these words (dog barking,rain,... or a text file with one a line; default: a list of "
        "common sounds) are heard in --audio, and make no video",
    )


def add_sampling(group: argparse._ArgumentGroup) -> None:
    """Adds the sampler's options."""
    seeds = group.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, help="the same seed gives the same video (default: 0)")
    seeds.add_argument(
        "--seeds",
        type=parse_seeds,
        metavar="A:B|A,B,...",
        help="makes a video for each seed: 0:4 is 0 to 3 (see --out); networks are loaded and compiled once",
    )
    group.add_argument("--steps", type=int, help="sampling steps (default: the model's; mostly 50, tiny 8)")
    group.add_argument(
        "--guidance",
        type=parse_guidance,
        metavar="SCALE|NAME=SCALE,...",
        help="guidance scale of text and sound; 1 disables guidance (default: the model's; mostly 3.5, tiny 1). Or one "
        "for each (text=6,speech=4,effects=3,music=2): those left out have 1, and 0 is as without",
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
    length = group.add_mutually_exclusive_group()
    length.add_argument(
        "--duration",
        type=float,
        metavar="SECONDS",
        help="of the video, to the frame; one that is longer than the model manages is made in windows",
    )
    length.add_argument(
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
    group.add_argument(
        "--window-frames",
        type=count,
        metavar="N",
        help="most frames that are made at once, 1 + 4k (default: what the model is known to manage)",
    )
    group.add_argument(
        "--window-overlap",
        type=count,
        metavar="N",
        help="frames of a window that were made before, 1 + 4k (default: 5, two latent frames)",
    )
    group.add_argument(
        "--long-video",
        choices=LONG_VIDEO,
        help="how a window goes on: from the last latent frames, or from their pictures encoded again, as MTV's code "
        "does, of which colours drift (default: latent)",
    )


def _num_frames(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames, nor auto") from error


def parse_guidance(text: str) -> float | dict[str, float]:
    """The scale of a flag such as 6, or scales by condition, text=6,speech=4. Raises argparse's error for another."""
    scales = {}
    for part in text.split(",") if "=" in text else [f"={text}"]:
        name, _, scale = part.strip().rpartition("=")
        try:
            number = float(scale)
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"{text!r}: is no scale such as 6, nor text=6,speech=4"
            ) from error
        if name in scales or ("=" in text and not name):
            raise argparse.ArgumentTypeError(
                f"{text!r}: {part!r} must be a NAME=SCALE of its own, such as text=6"
            )
        scales[name] = number
    return scales.get("", scales)


def parse_keyframes(options: list[str]) -> dict[str, str]:
    """The picture files by frame or second of flags such as `0=first.png`. Raises UserError for any other."""
    pictures = {}
    for option in options:
        when, equals, file = option.partition("=")
        if not equals or not when or not file:
            raise UserError(f"--keyframe {option}: must be WHEN=FILE, such as 0=first.png or 2.5s=next.png")
        if when in pictures:
            raise UserError(f"--keyframe {option}: {when} has a picture already")
        pictures[when] = file
    return pictures


def parse_speech(options: list[str]) -> dict[str, str]:
    """The sounds by track of flags such as `a.wav` and `Person2=b.wav`. Raises UserError for a track given twice."""
    sounds = {}
    for option in options:
        person, equals, file = option.partition("=")
        named = equals and person.isidentifier() and not os.path.exists(option)
        track = f"speech:{person}" if named else "speech"
        if track in sounds:
            raise UserError(f"--speech {option}: {track} is given twice; name speakers, as in Person2=b.wav")
        sounds[track] = file if named else option
    return sounds


def parse_prompts(args: argparse.Namespace) -> Prompts | None:
    """The prompts of one video; None if no flag gives any. Raises UserError for flags that contradict each other."""
    if not args.prompt_at:
        texts = args.prompt or []
        return texts[0] if len(texts) == 1 else texts or None
    if args.prompts is not None:
        raise UserError(f"--prompt-at {args.prompt_at[0]}: not with --prompts, of which each is a video")
    if len(args.prompt or []) > 1:
        raise UserError(f"--prompt {args.prompt[1]!r}: is the second; --prompt-at says when another holds")
    timed = [(0.0, text) for text in args.prompt or []]
    for option in args.prompt_at:
        second, equals, text = option.partition("=")
        try:
            timed.append((float(second.removesuffix("s")), text))
        except ValueError:
            equals = ""
        if not equals:
            raise UserError(f"--prompt-at {option}: must be SECOND=TEXT, such as 4='A woman ...'")
    return timed


def named_preset(argv: Sequence[str]) -> str | None:
    """The value of --preset among arguments that may be incomplete, for --help and --describe."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--preset", "--checkpoint")
    return finder.parse_known_args(argv)[0].preset


_OTHER_NAMES = {"steps": "num_inference_steps", "guidance": "guidance_scale", "guidance_schedule": "guidance"}
"""Flags whose arguments of a call have other names."""
_NO_ARGUMENTS = ("preset", "describe", "dtype", "prompt", "prompts", "prompt_at", "story", "out", "overwrite")
_NO_ARGUMENTS += ("dry_run", "draw_boxes", "seed", "seeds", "list_sources", "keyframe", "tracks", "speech")
"""Flags that are no arguments of a call, or are converted first."""


def parse_sample(argv: Sequence[str]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The flags, and the arguments of a call that they give: those that all videos of a command share.

    Raises UserError for values that are malformed.
    """
    args = sample_parser().parse_args(argv)
    # Parsed again without defaults, so that a flag that repeats one still takes precedence over a story.
    bare = sample_parser()
    bare.set_defaults(**dict.fromkeys(vars(args)))
    values = {
        _OTHER_NAMES.get(name, name): value
        for name, value in vars(bare.parse_args(argv)).items()
        if name not in _NO_ARGUMENTS and value is not None
    }
    if args.keyframe:
        values["keyframes"] = parse_keyframes(args.keyframe)
    voices = parse_speech(args.speech or [])
    if "speech" in voices:
        values["speech"] = voices.pop("speech")
    if args.tracks is not None:
        from mtv_jax.pipelines.request import track_folder

        values["tracks"] = track_folder(args.tracks)
    if voices:
        values["tracks"] = {**values.get("tracks", {}), **voices}
    return args, values


def flag_of(argument: str) -> str:
    """The flag that gives an argument of a call."""
    names = {argument: flag for flag, argument in _OTHER_NAMES.items()} | {
        "sources": "source",
        "keyframes": "keyframe",
    }
    return "--" + names.get(argument, argument).replace("_", "-")
