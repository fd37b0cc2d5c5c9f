"""The videos of one call of `python -m mtv_jax.sample`: their prompts, seeds and files, and making them in turn."""

import argparse
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtv_jax.io.cli import report_error
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_text
from mtv_jax.io.limits import check_bound
from mtv_jax.pipelines.timeline.prompts import Prompts

if TYPE_CHECKING:
    from mtv_jax.pipelines.base import Pipeline

SUFFIXES = (".mp4", ".gif")
_MOST_VIDEOS = 10_000


@dataclass(frozen=True)
class Wanted:
    """A video to be made, and the file for it."""

    prompt: Prompts
    seed: int
    out: Path


@dataclass(frozen=True)
class Several:
    """The prompts and seeds of several videos.

    Attributes:
      prompts: a text file with a prompt in each line; None: there is one prompt.
      seeds: ranges of seeds; None: there is one seed.
    """

    prompts: Path | None = None
    seeds: list[range] | None = None

    def videos(self, out: Path, prompt: Prompts | None, seed: int, *, force: bool = False) -> list[Wanted]:
        """All videos: each prompt with each seed. `prompt` and `seed` are those of a single video.

        `out` is the file of a single video. With several, x.mp4 becomes x_seed0.mp4, x_prompt0.mp4 or
        x_prompt0_seed0.mp4, and a folder contains out_seed0.mp4 and so on. Raises UserError for another kind of file,
        duplicate seeds, and more than 10,000 videos unless `force` is given.
        """
        named = out.suffix.lower() in SUFFIXES
        if not named and self.prompts is None and self.seeds is None:
            raise UserError(f"--out {out}: the name must end in {' or '.join(SUFFIXES)}")
        prompts: list[Prompts] = [prompt or ""] if self.prompts is None else [*read_prompts(self.prompts)]
        seeds = [range(seed, seed + 1)] if self.seeds is None else self.seeds
        count = len(prompts) * sum(part.stop - part.start for part in seeds)
        check_bound("videos", count, _MOST_VIDEOS, force=force)
        each = [seed for part in seeds for seed in part]
        if len(set(each)) < len(each):
            raise UserError("--seeds: a seed is listed twice")
        base = out.with_suffix("") if named else out / "out"
        suffix = out.suffix if named else SUFFIXES[0]
        return [
            Wanted(text, seed, base.with_name(f"{base.name}{self._mark(number, seed)}{suffix}"))
            for number, text in enumerate(prompts)
            for seed in each
        ]

    def _mark(self, number: int, seed: int) -> str:
        """The part of a video's file name that differs from the others."""
        prompt = "" if self.prompts is None else f"_prompt{number}"
        return prompt if self.seeds is None else f"{prompt}_seed{seed}"


def boxes_file(out: Path) -> Path:
    """The file beside `out` for the same video with boxes."""
    return out.with_stem(f"{out.stem}_boxes")


def make_videos(
    pipe: "Pipeline",
    wanted: Sequence[Wanted],
    options: Mapping[str, Any],
    *,
    started: float,
    draw_boxes: bool = False,
) -> int:
    """Makes and writes each video; of several, errors are reported and the others are still made.

    Args:
      pipe: makes the videos.
      wanted: what to make.
      options: further arguments of `Pipeline.__call__`, the same for all.
      started: when the command began to load `pipe`, by `time.monotonic`; counted with the first video.
      draw_boxes: write `boxes_file` too.

    Returns:
      The exit status: that of the first video that failed, or 0.
    """
    if len(wanted) == 1:
        _make(pipe, wanted[0], options, started, draw_boxes)
        return 0
    codes = []
    for number, video in enumerate(wanted, 1):
        print(f"video {number} of {len(wanted)}: {video.out}", file=sys.stderr)
        try:
            _make(pipe, video, options, time.monotonic(), draw_boxes)
        except Exception as error:
            codes.append(report_error(error))
    if codes:
        print(f"{len(codes)} of {len(wanted)} videos failed", file=sys.stderr)
    return codes[0] if codes else 0


def _make(
    pipe: "Pipeline", wanted: Wanted, options: Mapping[str, Any], started: float, draw_boxes: bool
) -> None:
    """Makes and writes a video, and prints its size and the seconds since `started`.

    A long one is written as it is made, and goes on where a command that was killed has left it.
    """
    work_dir = wanted.out.with_name(f"{wanted.out.name}.windows")
    video = pipe(wanted.prompt, seed=wanted.seed, work_dir=work_dir, **options)
    video.save(wanted.out)
    shutil.rmtree(work_dir, ignore_errors=True)
    if draw_boxes:
        video.with_boxes().save(boxes_file(wanted.out))
    count, height, width, _ = video.frames.shape
    sound = "silent" if video.audio is None or wanted.out.suffix.lower() == ".gif" else "with sound"
    print(
        f"{wanted.out}: {count} frames of {width} x {height}, {video.duration:.2f} s, "
        f"{sound}, made in {time.monotonic() - started:.1f} s",
        flush=True,
    )


def read_prompts(file: Path) -> list[str]:
    """The prompts in a text file (UTF-8), one per line; blank lines are skipped. Raises UserError if there are none."""
    prompts = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    if not prompts:
        raise UserError(f"{file}: contains no prompts; write one per line")
    return prompts


def parse_seeds(text: str) -> list[range]:
    """The seeds of a flag: `0:4` (0 to 3), `0,3,7`, or both. Raises argparse's error for anything else."""
    parts = []
    for part in text.split(","):
        first, separator, end = part.strip().partition(":")
        if not all(
            number.isascii() and number.isdecimal() for number in (first, end if separator else first)
        ):
            raise argparse.ArgumentTypeError(f"{text!r}: seeds are such as 0:4 or 0,3,7")
        parts.append(range(int(first), int(end) if separator else int(first) + 1))
        if not parts[-1]:
            raise argparse.ArgumentTypeError(f"{text!r}: no seed is in {part!r}")
    return parts
