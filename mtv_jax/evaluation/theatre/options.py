"""Options of the theatre suite, with their defaults and the help of their flags.

Imports nothing heavy, since the command's `--help` reads it.
"""

import argparse
from dataclasses import dataclass

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR
from mtv_jax.evaluation.options import option
from mtv_jax.io.cli import count
from mtv_jax.io.errors import UserError
from mtv_jax.io.limits import MAX_CLIPS, MAX_STEPS, check_bound, check_guidance

SCALES = (0.0, 1.0, 2.0, 4.0)
"""Guidance scales of a track that are compared."""


def parse_scales(text: str) -> tuple[float, ...]:
    """The scales of a flag. Raises argparse's error for others than numbers, each once."""
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: must be scales such as 0,1,2,4") from error
    if len(set(scales)) < len(scales):
        raise argparse.ArgumentTypeError(f"{text!r}: one is listed twice")
    return scales


@dataclass(frozen=True)
class SuiteOptions:
    """What is measured, and how its videos are made; the metadata of each field has its help."""

    preset: str = option("", "preset (tiny), pipeline folder or training directory to measure; required")
    clips: int = option(
        200, "number of clips, rendered afresh from seeds that training cannot reach", type=count
    )
    seeds: int = option(3, "number of noises that each clip is generated from", type=count)
    seed: int = option(0, "of the clips and the first noise", type=int)
    steps: int = option(8, "sampling steps (DDIM)", type=count)
    guidance_scale: float = option(1.0, "of text and sound; 1 is none", type=float)
    batch_size: int = option(16, "number of clips generated at once", type=count)
    dtype: str = option("float32", "that the networks compute in", choices=("float32", "bfloat16"))
    videos: int = option(8, "number of example videos in the report", type=int)
    real_sounds: bool = option(
        False,
        "speech and strikes are bundled recordings that no training uses (8 s of two voices that it knows, a strike "
        "of each prop); music stays synthetic, and SyncSynth is left out",
        action="store_true",
    )
    mixed: str | None = option(
        None,
        f"mix the tracks of each clip into one sound and separate it again, by {DEFAULT_SEPARATOR} or the one named; "
        "'raw': use the mix as every track",
        nargs="?",
        const=DEFAULT_SEPARATOR,
        metavar="SEPARATOR",
    )
    scales: tuple[float, ...] | None = option(
        None,
        "instead of one report, a table of effect and leak of each track at these guidance scales of that track alone "
        "(without a value: 0,1,2,4)",
        nargs="?",
        const=SCALES,
        type=parse_scales,
        metavar="SCALE,...",
    )
    allow_random_weights: bool = option(
        False, "measure parts that were not trained, as an invalid result", action="store_true"
    )

    def check(self, *, force: bool = False) -> None:
        """Raises UserError for values that are missing, cannot be used, or are out of bounds (unless `force`)."""
        if not self.preset:
            raise UserError("--suite theatre: --preset NAME, the pipeline to measure, is missing")
        for name in ("clips", "seeds", "videos", "batch_size"):
            check_bound(name, getattr(self, name), MAX_CLIPS, force=force)
        check_bound("steps", self.steps, MAX_STEPS, force=force)
        for scale in (self.guidance_scale, *(self.scales or ())):
            check_guidance(scale)
        if self.videos < 0:
            raise UserError(f"--videos {self.videos}: must not be negative")
        if self.mixed is not None:
            from mtv_jax.evaluation.theatre.mixed import check_mixed

            check_mixed(self.mixed)
