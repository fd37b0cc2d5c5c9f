"""`python -m mtv_jax.convert`: weights from one form to another."""

import argparse
from pathlib import Path

from mtv_jax.io.cli import parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory


def _parser() -> argparse.ArgumentParser:
    top = parser("convert", "Write the newest checkpoint of a training directory as a pipeline folder.")
    top.add_argument(
        "--from", dest="source", choices=("train",), default="train", help="form of what is given"
    )
    top.add_argument("--in", dest="input", type=Path, required=True, help="training directory")
    top.add_argument("--out", type=Path, required=True, help="pipeline folder to write")
    return top


def main(argv: list[str]) -> None:
    """Runs the command."""
    args = _parser().parse_args(argv)
    if args.out.exists():
        raise UserError(f"{args.out}: exists already; give another --out")
    from mtv_jax.training.export import export

    export(existing_directory(args.input), args.out)
    print(f"{args.out}: written")


if __name__ == "__main__":
    run(main)
