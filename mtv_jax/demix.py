"""`python -m mtv_jax.demix mix.wav --out dir/`: one mixed file becomes speech, effects and music."""

import argparse

from mtv_jax.audio.demix_files import FORMATS, RESULTS, DemixFiles, track_line
from mtv_jax.audio.separation.flags import add_separator
from mtv_jax.io.cli import add_force, add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, existing_file, remove_leftovers
from mtv_jax.io.limits import check_room
from mtv_jax.io.lock import FolderLock
from mtv_jax.names import TRACKS


def main(argv: list[str]) -> None:
    """Separates a file, writes the tracks and demix.json, and prints a line for each track."""
    args = _parser().parse_args(argv)
    if args.sample_rate is not None and not 8000 <= args.sample_rate <= 192000:
        raise UserError(f"--sample-rate {args.sample_rate}: must be 8000 to 192000")
    job = DemixFiles(existing_file(args.mix), args.separator, args.format, args.sample_rate)
    # Of every format: two files of one track would leave it open which is meant.
    out = check_output(args.out, folder=True, overwrite=args.overwrite, marks=RESULTS, inputs=[job.mix])
    check_room(out, job.num_bytes, force=args.force)
    with FolderLock(out, "--out"):
        remove_leftovers(out)
        report = job.write(out)
    for name in TRACKS:
        print(track_line(name, out, report))


def _parser() -> argparse.ArgumentParser:
    arguments = parser("demix", "Separates one mixed sound file into speech, effects and music.")
    arguments.add_argument("mix", help="a sound file, or a video with sound")
    arguments.add_argument("--out", required=True, help="folder for speech, effects, music and demix.json")
    arguments.add_argument("--sample-rate", type=int, help="of the tracks, Hz (default: the mix's own)")
    arguments.add_argument("--format", choices=sorted(FORMATS), default="wav", help="float32 or 24 bit")
    add_separator(arguments, "the mix")
    add_overwrite(arguments)
    add_force(arguments)
    return arguments


if __name__ == "__main__":
    run(main)
