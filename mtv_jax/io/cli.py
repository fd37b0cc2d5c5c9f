"""Shared behaviour of all commands: a parser that shows defaults, one-line errors, exit codes."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NoReturn

from mtv_jax.io import signals
from mtv_jax.io.errors import UserError
from mtv_jax.io.limits import MAX_RATE, MIN_RATE
from mtv_jax.io.notes import once_each
from mtv_jax.io.rates import exact_fps

_USERS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)
"""Errors that the user has to resolve: a full disk, a read-only folder, a file where a folder should be."""

DEBUG = "MTV_JAX_DEBUG"
"""Environment variable: if set, failures show their traceback."""


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser for `python -m mtv_jax.<command>` whose help shows each default."""
    return argparse.ArgumentParser(
        prog=f"python -m mtv_jax.{command}", description=description, formatter_class=_DefaultsHelp
    )


class _DefaultsHelp(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not that a switch is off or that nothing is given."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        absent = action.default is None or action.default is False or action.default == []
        return action.help if absent else super()._get_help_string(action)


def frame_rate(text: str) -> Fraction:
    """A frame rate: 24, 23.976 or 24000/1001 (`mtv_jax.io.rates.exact_fps`)."""
    try:
        rate = exact_fps(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not MIN_RATE <= rate <= MAX_RATE:
        raise argparse.ArgumentTypeError(f"{text!r}: a frame rate is from {MIN_RATE} to {MAX_RATE}")
    return rate


def whole_number(text: str) -> int:
    """An argument that is an integer of at least 0."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def count(text: str) -> int:
    """The value of a flag that is a number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def seconds(text: str) -> list[float]:
    """An argument that is a list of times, separated by commas; an empty text is an empty list."""
    try:
        return [float(part) for part in text.split(",")] if text.strip() else []
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} are not seconds such as 0.3,0.9") from error


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """Adds --overwrite, without which no existing output is replaced (`mtv_jax.io.files.check_output`)."""
    command.add_argument(
        "--overwrite", action="store_true", help="replace an existing output, once the new one is complete"
    )


def add_normalize_loudness(command: "argparse._ActionsContainer") -> None:
    """Adds the flag for `mtv_jax.audio.loudness`; curation and sampling must use the same value."""
    command.add_argument(
        "--normalize-loudness",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="normalize speech to a fixed level before encoding it; use the same value in curation and in sampling",
    )


def add_force(command: argparse.ArgumentParser, of: str = "length, size, steps and memory") -> None:
    """Adds --force, which disables the limits of `mtv_jax.io.limits` and `mtv_jax.planning.memory`."""
    command.add_argument("--force", action="store_true", help=f"ignore the limits on {of}")


def run(main: Callable[[list[str]], int | None], argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits: 0 or what `main` returns, 1 failed, 2 bad input, 130 interrupted, 143 terminated.

    An error is one line on stderr; its traceback is shown only if MTV_JAX_DEBUG is set. SIGTERM and Ctrl-C raise
    `mtv_jax.io.signals.SignalExit`, so that incomplete files are removed.

    Args:
      main: called with the arguments after the command's name.
      argv: the arguments; default `sys.argv[1:]`.
    """
    _quiet()
    restore = signals.handle()
    try:
        with once_each():
            sys.exit(_code_of(main, list(sys.argv[1:] if argv is None else argv)))
    finally:
        restore()


def _code_of(main: Callable[[list[str]], int | None], argv: list[str]) -> int:
    """Calls `main`, reports an error if it fails, and returns the exit status."""
    try:
        code = main(argv) or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader has gone (`| head`), which is not an error; the flush at exit needs somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # A library may have wrapped the signal's exception.
        return signals.exit_code() or report_error(error)


def report_error(error: Exception) -> int:
    """Prints an error as one line on stderr and returns its exit status."""
    if isinstance(error, UserError):
        return _fail(f"error: {error}", 2)
    if isinstance(error, OSError):
        code = 2 if error.errno in _USERS else 1
        return _fail(f"error: {error.filename or 'file'}: {error.strerror or error}", code)
    return _fail(f"error: {type(error).__name__}: {error}", 1)


def _fail(message: str, code: int) -> int:
    if os.environ.get(DEBUG, "0") != "0":
        import traceback

        traceback.print_exc()
    # Bytes of a name or prompt that are not UTF-8 are printed as escapes rather than raising here.
    line = " ".join(message.split()).encode("utf-8", "backslashreplace").decode("utf-8")
    print(line, file=sys.stderr)
    return code


def _quiet() -> None:
    """Silences other libraries' informational output on the terminal."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for name in ("absl", "jax", "orbax", "numba", "transformers"):
        logging.getLogger(name).setLevel(logging.WARNING)
