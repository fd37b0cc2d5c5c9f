"""Errors caused by the user's input or environment."""

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """Invalid input. The message is one line: what was given, what is wrong with it, what to do.

    Commands print the message without a traceback and exit with 2.
    """


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
