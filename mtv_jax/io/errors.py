"""What went wrong because of something the user gave or must change."""

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """Bad input, told in one line: what was given, what is wrong with it, what to do.

    Commands print the message alone (no traceback) and exit with 2.
    """


@contextlib.contextmanager
def blamed_on(file: object) -> Iterator[None]:
    """What is wrong with what `file` says is told as a UserError that names the file.

    For code that turns the content of a file into ours: what is of another type than it expects shows as any of
    these errors.
    """
    try:
        yield
    except UserError as error:
        if str(file) in str(error):
            raise
        raise UserError(f"{file}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise UserError(f"{file}: cannot be read ({type(error).__name__}: {told})") from error
