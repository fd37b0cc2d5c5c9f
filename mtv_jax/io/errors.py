"""What went wrong because of something the user gave or must change."""

from dataclasses import fields
from typing import Any


class UserError(Exception):
    """Bad input, told in one line: what was given, what is wrong with it, what to do.

    Commands print the message alone (no traceback) and exit with 2.
    """


def check_sizes(config: Any) -> None:
    """Raises UserError, naming the field, unless all whole numbers of a dataclass are at least 1."""
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise UserError(f"{field.name} {value}: must be at least 1")
