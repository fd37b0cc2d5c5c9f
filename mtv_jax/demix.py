"""`python -m mtv_jax.demix mix.wav --out dir/`: mixed sounds become tracks, such as speech, effects and music."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mtv_jax.audio.separation.batch import Mixes, Outcome, check_jobs, find_mixes, run_jobs
from mtv_jax.audio.separation.files import FORMATS, PAGE, DemixFiles, track_line
from mtv_jax.audio.separation.flags import add_separator
from mtv_jax.io.cli import add_force, add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, remove_leftovers, shown
from mtv_jax.io.lock import FolderLock
from mtv_jax.io.progress import say


def main(argv: list[str]) -> int:
    """Separates files and prints a line for each track; returns 1 if one of several could not be separated."""
    args = _parser().parse_args(argv)
    if args.sample_rate is not None and not 8000 <= args.sample_rate <= 192000:
        raise UserError(f"--sample-rate {args.sample_rate}: must be 8000 to 192000")
    mixes = find_mixes(args.mix)
    out = check_output(args.out, folder=True)
    options = (args.separator, args.format, args.sample_rate)
    jobs = [DemixFiles(mix, out / name, *options) for name, mix in mixes.files.items()]
    with FolderLock(out, "--out"):
        outcomes = _separate(jobs, mixes, out, args)
        if args.report:
            from mtv_jax.audio.separation.report import write_page

            page = write_page(out, outcomes, mixes.ignored)
            print(f"{shown(page)}: pictures and players of all tracks")
    failed = sum(outcome.report is None for outcome in outcomes)
    if failed:
        print(f"error: {failed} of {len(jobs)} files could not be separated", file=sys.stderr)
    return 1 if failed else 0


def _separate(jobs: Sequence[DemixFiles], mixes: Mixes, out: Path, args: argparse.Namespace) -> list[Outcome]:
    """Separates what is not finished. Raises the error of a file that was given alone."""
    for folder in filter(Path.is_dir, {out, *(job.out for job in jobs)}):
        remove_leftovers(folder)
    finished = check_jobs(jobs, overwrite=args.overwrite)
    for path, reason in mixes.ignored.items():
        say(f"ignored: {shown(path)} ({reason})")
    if finished:
        say(f"{shown(out)}: {len(finished)} of {len(jobs)} files were separated before")
    if len(finished) < len(jobs):
        (out / PAGE).unlink(missing_ok=True)  # it may describe other results
    outcomes = []
    for outcome in run_jobs(jobs, finished, force=args.force):
        if outcome.error is not None and mixes.is_single:
            raise outcome.error
        _print(outcome)
        outcomes.append(outcome)
    return outcomes


def _print(outcome: Outcome) -> None:
    if outcome.report is None:
        say(f"error: {outcome.reason}")
        return
    for name in outcome.report["tracks"]:
        print(track_line(name, outcome.job.out, outcome.report), flush=True)


def _parser() -> argparse.ArgumentParser:
    arguments = parser("demix", "Separates mixed sounds into tracks, such as speech, effects and music.")
    arguments.epilog = (
        "For example: python -m mtv_jax.demix film.mp4 --out tracks/ --report. The separators dfn3 and spleeter alone "
        "make speech and rest. What is finished of several files is kept: the same command continues a run that was "
        "stopped."
    )
    arguments.add_argument(
        "mix", nargs="+", help="sound files, videos with sound, and folders of them (with those below)"
    )
    arguments.add_argument(
        "--out",
        required=True,
        help="folder for the tracks and demix.json; of several files, a folder in it for each",
    )
    arguments.add_argument(
        "--sample-rate", type=int, metavar="HZ", help="of the tracks (default: the mix's own)"
    )
    arguments.add_argument(
        "--format", choices=sorted(FORMATS), default="wav", help="wav has float32, flac 24 bit"
    )
    arguments.add_argument(
        "--report", action="store_true", help=f"write {PAGE}: pictures and players of all tracks"
    )
    add_separator(arguments, "the mix")
    add_overwrite(arguments)
    add_force(arguments)
    return arguments


if __name__ == "__main__":
    run(main)
