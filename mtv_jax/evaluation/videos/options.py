"""Options of measuring videos, with the help of their flags. Imports nothing heavy: `--help` reads it."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mtv_jax.io.cli import count, parser, whole_number
from mtv_jax.io.errors import UserError

DEFAULT_METRICS = "av_align"
TABLE_NAMES = (
    "mtv2",
    "mtv4",
    *(f"maestro{number}{data}" for number in (1, 2, 3) for data in ("", "_vggsound")),
)
"""Of `tables.TABLES`; Maestro's are of Landscape if they do not say otherwise."""


@dataclass(frozen=True)
class Part:
    """The share of the videos that this process measures: every `count`-th, from `number` (0 is the first)."""

    number: int = 0
    count: int = 1

    def __post_init__(self):
        if not 0 <= self.number < self.count:
            raise UserError(
                f"part {self.number + 1}/{self.count}: must be between 1/{self.count} and the last"
            )

    @property
    def name(self) -> str:
        """Of the file of its rows."""
        return f"{self.number + 1}_of_{self.count}"


@dataclass(frozen=True)
class VideoOptions:
    """What is measured on videos."""

    manifest: Path | None = None
    metrics: str = DEFAULT_METRICS
    weights: Path | None = None
    reference: Path | None = None
    part: Part = Part()
    table: str | None = None
    strict: bool = False
    allow_random_weights: bool = False


NAMES = tuple(field.name for field in fields(VideoOptions))


@dataclass(frozen=True)
class GenerateOptions:
    """Which clips of a test set are generated again, and how; None: as the pipeline's folder says."""

    shards: Path
    pipeline: str
    split: str = "test"
    n: int = 50
    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    batch_size: int = 1
    dtype: str = "float32"
    fsdp: int = 1
    part: Part = Part()


def generate_parser() -> argparse.ArgumentParser:
    """The parser of `evaluate generate`."""
    top = parser(
        "evaluate generate",
        "Draws clips of a test set, makes a video of the prompt and the tracks of each, and writes the manifest that "
        "measures them. A run that was stopped goes on.",
    )
    add, defaults = top.add_argument, {field.name: field.default for field in fields(GenerateOptions)}
    add("--shards", type=Path, required=True, help="data set, as curate pack writes one")
    add("--pipeline", required=True, help="preset, pipeline folder or training directory")
    add("--out", type=Path, required=True, help="folder of the videos and manifest.jsonl")
    add("--split", choices=("test", "train"), default="test", help="clips to draw from")
    add("--n", type=count, default=defaults["n"], help="number of clips")
    add("--seed", type=whole_number, default=0, help="of the draw and of the noise")
    add("--steps", type=count, help="sampling steps; without it, those of the pipeline")
    add("--guidance-scale", type=float, help="of text and sound; without it, that of the pipeline")
    add("--batch-size", type=count, default=1, help="number of videos made at once")
    add("--dtype", choices=("float32", "bfloat16"), default="float32", help="that the networks compute in")
    add("--fsdp", type=count, default=1, help="number of devices that the weights are split over")
    add(
        "--part",
        type=_part,
        default=argparse.SUPPRESS,
        metavar="K/N",
        help="make a share, in a process of its own",
    )
    return top


def add_video_flags(top: Any) -> None:
    """Flags of `VideoOptions`. One that is not given is absent, so that one that does not apply is noticed."""

    def add(flag: str, text: str, **options: Any) -> None:
        top.add_argument(flag, default=argparse.SUPPRESS, help=text, **options)

    add("--manifest", "JSONL file of the videos: id, video, and, as metrics need them, prompt, audio, reference, "
        "speech, effects, music, seed", type=Path)  # fmt: skip
    add(
        "--metrics",
        f"names with commas between them; 'list' prints what there is (default: {DEFAULT_METRICS})",
    )
    add(
        "--weights", "folder of the metrics' networks, a folder each, as --metrics list names them", type=Path
    )
    add("--reference", "real videos that sets are compared with: a folder or a manifest", type=Path)
    add("--part", "measure a share of the videos, such as 2/4, in a process of its own; the last run, without it, "
        "reports on all", type=_part, metavar="K/N")  # fmt: skip
    add(
        "--table",
        f"print the results as a row beside the paper's table: {', '.join(TABLE_NAMES)}",
        choices=TABLE_NAMES,
        metavar="TABLE",
    )
    add("--strict", "stop at the first video that cannot be measured", action="store_true")


def _part(text: str) -> Part:
    number, slash, count = text.partition("/")
    if not slash or not number.isdecimal() or not count.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form K/N, such as 2/4")
    try:
        return Part(int(number) - 1, int(count))
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
