"""The flags of `python -m mtv_jax.curate`, by subcommand."""

import argparse
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.audio.separation.flags import add_separator
from mtv_jax.curation.layouts import LAYOUTS
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
    "frames of 480 x 720. The config of `run` may say otherwise (config.size)."
)


def curate_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    top = parser("curate", "Turn films, or synthetic clips, into shards that training reads.")
    commands = top.add_subparsers(dest="command", required=True)
    _add_sources(commands)
    _add_run(commands)
    _add_plan(commands)
    _add_folder_commands(commands)
    _add_features(commands)
    _add_verify(commands)
    _add_theatre(commands)
    _add_objects(commands)
    _add_scene(commands)
    return top


def _command(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    return commands.add_parser(name, help=summary, description=description, formatter_class=formatter)


def _add_sources(commands: Any) -> None:
    sources = _command(
        commands,
        "sources",
        "list the videos of VGGSound, Landscape or Animal Kingdom",
        "Write a sources.jsonl for `run --videos` of a data set in the layout in which it is published: each video "
        "with its label, which is also its prompt, its split, and the recording that it is a part of. No recording is "
        "in both splits. What is left out is counted on stderr.",
    )
    sources.add_argument("--layout", choices=LAYOUTS, required=True, help="of which data set")
    sources.add_argument("--videos", type=Path, required=True, help="its folder of videos")
    sources.add_argument(
        "--table",
        type=Path,
        nargs="+",
        default=[],
        help="what describes them: vggsound.csv; train.txt and test.txt of Animal Kingdom's video_grounding",
    )
    sources.add_argument(
        "--labels",
        type=Path,
        help="the labels that there may be, a CSV file with them in its first column, as VGGSound's stat.csv; of "
        "Animal Kingdom AR_metadata.xlsx, or a CSV file, with the columns Animal and Parent Class",
    )
    sources.add_argument(
        "--test",
        type=whole_number,
        help="videos to hold out, whole recordings drawn by their hashes; 0: none, `pack --test-clips` draws (default: "
        "as the data set does, and of Landscape without train/ and test/ 100, at most a tenth)",
    )
    sources.add_argument("--out", type=Path, help="the list (default: sources.jsonl in --videos)")
    add_overwrite(sources)


def _add_run(commands: Any) -> None:
    run = _command(
        commands,
        "run",
        "make shards of films",
        f"Make shards of films: cut them at their shots, judge the clips, encode those that are kept. {_SIZES} Then "
        "clips have each film's own rate, and none has its first three frames. The same command goes on where it was "
        "stopped, and does what new films and other settings need.",
    )
    _add_settings(run)
    add_overwrite(run)
    run.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 if a film cannot be used (default: only if none can)",
    )
    run.add_argument(
        "--retry-failed",
        action="store_true",
        help="try again what has failed as often as config.retries allows",
    )
    run.add_argument("--executor", choices=("local", "ray"), default="local", help="where stages run")
    run.add_argument(
        "--workers",
        type=whole_number,
        help="processes, each with its own models; 0: this one, without protection from decoders that crash (default: "
        "one for each core, at most one for each film)",
    )
    run.add_argument("--address", help="of a Ray cluster (default: Ray is started on this machine)")
    run.add_argument("--gpus-per-worker", type=float, default=0.0, help="of a Ray actor; may be a fraction")


def _add_plan(commands: Any) -> None:
    plan = _command(
        commands,
        "plan",
        "show what `run` would do",
        "Show how many films, clips and bytes there will be, the licences of the films, and which models are missing. "
        "Nothing is written.",
    )
    _add_settings(plan)


def _add_settings(command: argparse.ArgumentParser) -> None:
    """What `curation.settings.Settings` are made of."""
    command.add_argument(
        "--videos",
        type=Path,
        required=True,
        help="folder of films, each with a .json beside it, or a sources.jsonl with a line for each",
    )
    _add_common(command)
    command.add_argument(
        "--fps",
        type=_rate_or_native,
        help="frames a second, or `native`: each film's own (default: see above)",
    )
    command.add_argument("--stride", type=int, help="frames between starts of clips (default: num-frames)")
    command.add_argument(
        "--skip-frames",
        type=int,
        help="frames to leave out at the start of each film (default: 3 at native rate, as MTV, else 0)",
    )
    add_separator(command, "the sound")
    add_normalize_loudness(command)
    _add_config(command)


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config",
        metavar="FILE.py[:ARG]",
        help="config file of models and thresholds, as configs/curate.py, which has the defaults and MTV's filter by "
        "two separators (it needs `make spleeter`, and is off without the file); --config.KEY=VALUE changes one",
    )


def _add_folder_commands(commands: Any) -> None:
    status = _command(commands, "status", "show how far a run is", "Show what is done, and what has failed.")
    decide = _command(
        commands,
        "decide",
        "judge with other thresholds",
        "Judge all clips again, with the thresholds of --config. No model runs. `run` with the same "
        "--config then encodes what is newly kept, and packs.",
    )
    _add_config(decide)
    pack = _command(
        commands, "pack", "write the shards again", "Write shards of the clips that are kept now."
    )
    pack.add_argument(
        "--test-clips",
        type=whole_number,
        help="about how many clips are held out, with their whole films, in FOLDER/test (default: as the last "
        "time; at first 1000, at most a tenth)",
    )
    pack.add_argument(
        "--release",
        action="store_true",
        help="refuse if a model or film is a stub, has no licence, or none for commercial use",
    )
    report = _command(
        commands, "report", "write report.html", "Write a page that shows what was kept, and why."
    )
    for command in (status, decide, pack, report):
        command.add_argument("folder", type=Path, help="the --out of a run")


def _add_features(commands: Any) -> None:
    features = _command(
        commands,
        "features",
        "make features anew by another audio encoder",
        "Make shards with features of tracks by other audio encoders, from the tracks that the data set keeps.",
    )
    features.add_argument("folder", type=Path, help="the --out of a run")
    features.add_argument(
        "--audio-encoder",
        action="append",
        required=True,
        metavar="TRACK=FOLDER",
        help="such as effects=beats/; may be given for several tracks",
    )
    features.add_argument("--out", type=Path, required=True, help="folder for the shards")
    add_overwrite(features)


def _add_verify(commands: Any) -> None:
    verify = _command(
        commands,
        "verify",
        "read every shard once and check hash and records",
        "Read every shard and check its hash, its count and each record, and that every second of the films is "
        "accounted for. Training checks sizes only. Shards found whole are remembered in verified.json beside them "
        "and not read again until they change.",
    )
    verify.add_argument("shards", type=Path, help="folder of shards")
    verify.add_argument("--again", action="store_true", help="read those too that were found whole before")


def _add_theatre(commands: Any) -> None:
    theatre = _command(
        commands,
        "theatre",
        "make shards of synthetic clips",
        "Make shards of synthetic clips. A fourth of those with speech have a real voice, a third of those with "
        f"effects a real sound, from the recordings bundled for training (mtv_jax/assets/sounds). {_SIZES}",
    )
    _add_common(theatre)
    add_overwrite(theatre)
    theatre.add_argument("--fps", type=frame_rate, help="frames a second (default: see above, or 24)")
    theatre.add_argument("--clips", type=int, default=400, help="how many")
    theatre.add_argument("--seed", type=int, default=0, help="of the clips; below 2**32")
    theatre.add_argument(
        "--speakers",
        type=int,
        default=1,
        help="of the model that the clips are for, up to 4: with more than 1, up to so many heads are seen, and each "
        "has a track of its own (speech, speech2, ...), which is silence while it does not speak",
    )


def _add_objects(commands: Any) -> None:
    objects = _command(
        commands,
        "objects",
        "make shards of synthetic sounding objects",
        "Make shards of synthetic clips in which one to three things make sounds, for the parts of Maestro "
        "(configs/maestro): 16 frames of 64 x 96 pixels, 2 frames a second, or single pictures, or clips of one sound.",
    )
    objects.add_argument("--out", type=Path, required=True, help="folder for the shards")
    objects.add_argument(
        "--content",
        choices=("clips", "pictures", "sources"),
        default="clips",
        help="what a record is: a clip, a picture of one frame, or a clip of one sound (for configs/maestro/cim.py)",
    )
    objects.add_argument(
        "--encoders", metavar="FOLDER", help="pipeline folder whose text encoder and autoencoder to use"
    )
    objects.add_argument("--vae", help="folder with another autoencoder (or the training directory of one)")
    objects.add_argument("--frames-only", action="store_true", help="keep pixels, to train an autoencoder")
    objects.add_argument("--clips", type=int, default=400, help="how many")
    objects.add_argument(
        "--unnamed",
        type=float,
        default=0.0,
        help="chance that a prompt leaves out something that is there, as captions do; one thing is always named",
    )
    objects.add_argument("--seed", type=int, default=0, help="of the clips; below 2**32")
    add_force(objects)
    add_overwrite(objects)


def _add_common(command: argparse.ArgumentParser) -> None:
    """Adds the options that all subcommands which make shards share."""
    command.add_argument("--out", type=Path, required=True, help="folder for the shards")
    command.add_argument("--encoders", default="tiny", help="pipeline folder or preset whose encoders to use")
    command.add_argument("--vae", help="folder with another autoencoder (or the training directory of one)")
    command.add_argument("--frames-only", action="store_true", help="keep pixels, to train an autoencoder")
    command.add_argument("--num-frames", type=int, help="frames a clip, 1 + 4k (default: see above)")
    command.add_argument("--height", type=int, help="pixels (default: see above)")
    command.add_argument("--width", type=int, help="pixels (default: see above)")
    add_force(command)


def _add_scene(commands: Any) -> None:
    """The command that makes a folder for `evaluate --scene`."""
    scene = commands.add_parser(
        "scene",
        help="make a scene folder, which `evaluate --scene` measures a video by",
        description="Make a scene folder: speech.flac, effects.flac, music.flac, and scene.json with prompt, length "
        "and expected events. By default it is a clip of the theatre outside of all training seeds; with "
        "--prompt, a scene from your prompt and sounds; with --things, a mix of sounding objects. "
        "mtv_jax/evaluation/scene.py and mtv_jax/evaluation/objects/scene.py document scene.json.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    scene.add_argument("--out", type=Path, required=True, help="folder to make")
    scene.add_argument("--seed", type=whole_number, default=0, help="of the world")
    scene.add_argument("--index", type=whole_number, default=0, help="of the clip in it")
    scene.add_argument(
        "--real-sounds", action="store_true", help="speech and effects of the clip are held-out recordings"
    )
    scene.add_argument(
        "--things",
        type=int,
        choices=(2, 3),
        help="make a mix of so many sounding objects instead, with a sound and a box for each",
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
