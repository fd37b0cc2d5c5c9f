"""Errors caused by the user's input or environment."""

import contextlib
from collections.abc import Iterator
from typing import Literal

Reason = Literal[
    "empty",
    "not_a_video",
    "truncated",
    "damaged",
    "no_picture",
    "no_sound",
    "one_frame",
    "resolution_change",
    "unsupported",
    "lengths_differ",
]
"""Why a video cannot be used. The codes are stored in ledgers and reports, so they never change their meaning."""


class UserError(Exception):
    """Invalid input. The message is one line: what was given, what is wrong with it, what to do.

    Commands print the message without a traceback and exit with 2.
    """


class Unreadable(UserError):
    """A video that cannot be used. `reason` is a stable code for programs, the message is for people."""

    def __init__(self, reason: Reason, message: str):
        super().__init__(message)
        self.reason: Reason = reason

    def __reduce__(self):
        return type(self), (self.reason, str(self))  # so that it crosses processes


@contextlib.contextmanager
def errors_in_file(file: object) -> Iterator[None]:
    """Converts errors raised in the block by the content of `file` to a UserError that names the file.

    For code that parses the content of a file: values of an unexpected type raise any of the errors caught here.
    """
    try:
        yield
    except UserError as error:
        if str(file) in str(error):
            raise
        raise UserError(f"{file}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: cannot be read ({type(error).__name__}: {reason})") from error
