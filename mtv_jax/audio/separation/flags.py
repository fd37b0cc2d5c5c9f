"""The flag `--separator` of the commands."""

import argparse

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR, check_name, describe_names
from mtv_jax.io.errors import UserError


def add_separator(group: argparse._ActionsContainer, separates: str) -> None:
    """Adds `--separator` to a command; `separates` says what of."""
    group.add_argument(
        "--separator",
        default=DEFAULT_SEPARATOR,
        type=separator_name,
        metavar="NAME",
        help=f"separates {separates}: {describe_names()}",
    )


def separator_name(text: str) -> str:
    """A name that there is, as the type of a flag."""
    try:
        check_name(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
