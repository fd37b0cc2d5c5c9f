"""The flags of `python -m mtv_jax.train`."""

import argparse
from collections.abc import Sequence

from mtv_jax.io.cli import add_force, parser


def train_parser() -> argparse.ArgumentParser:
    """The parser of the command, for the arguments that do not set keys of the config."""
    top = parser("train", "Train, or resume the run of the same --workdir.")
    top.add_argument("--config", required=True, metavar="FILE.py[:ARG]", help="config file")
    top.add_argument(
        "--workdir", help="checkpoints, metrics and samples go here; by default runs/<name of the config>"
    )
    top.add_argument(
        "--skip-batches",
        metavar="A:B",
        action="append",
        default=[],
        help="leave out the batches A to B - 1 (numbered from 0; a step that is not finite names its own), their data "
        "and their noise; it is recorded in the workdir, so once is enough; may be given several times",
    )
    add_force(top, "memory")
    top.epilog = (
        "--config.KEY=VALUE replaces a value of the config; --config FILE.py --help lists the keys. "
        "On SIGTERM, and on Ctrl-C, it finishes the step, saves, and exits with 143 or 130; a second Ctrl-C aborts at "
        "once; the same command resumes. Other exit codes: 0 done, 1 failed (a loss that is not finite, say), 2 bad "
        "usage, or a workdir in use by another run (its lock.json names the process; the lock of a dead process is "
        "taken over)."
    )
    return top


def named_config(argv: Sequence[str]) -> str | None:
    """The value of --config among arguments that may be incomplete, for --help."""
    finder = argparse.ArgumentParser(add_help=False)
    finder.add_argument("--config")
    return finder.parse_known_args(argv)[0].config
