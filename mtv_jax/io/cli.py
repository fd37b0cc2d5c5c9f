"""What every command does alike: a parser that shows defaults, one line for an error, exit codes."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NoReturn

from mtv_jax.io.errors import UserError
from mtv_jax.io.notes import once_each
from mtv_jax.io.rates import exact_fps

_USERS = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)
"""What the user has to change: a full disk, a folder that may not be written, a file where a folder should be."""

DEBUG = "MTV_JAX_DEBUG"
"""Environment variable: if set, failures show their traceback."""


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser for `python -m mtv_jax.<command>` whose help shows each default."""
    return argparse.ArgumentParser(
        prog=f"python -m mtv_jax.{command}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def frame_rate(text: str) -> Fraction:
    """A frame rate: 24, 23.976 or 24000/1001 (`mtv_jax.io.rates.exact_fps`)."""
    try:
        rate = exact_fps(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if rate > 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: a frame rate is above 0 and at most 1000")
    return rate


def run(main: Callable[[list[str]], int | None], argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits: 0 or what `main` returns, 1 failed, 2 bad input, 130 interrupted.

    An error is one line on stderr; its traceback is shown only if MTV_JAX_DEBUG is set.

    Args:
      main: takes the arguments after the command's name.
      argv: those arguments; default `sys.argv[1:]`.
    """
    _quiet()
    once_each()
    try:
        code = main(list(sys.argv[1:] if argv is None else argv)) or 0
        sys.stdout.flush()
    except UserError as error:
        code = _fail(f"error: {error}", 2)
    except KeyboardInterrupt:
        code = _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader left (`| head`): not an error; give the exit's own flush somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        code = _fail(
            f"error: {error.filename or 'file'}: {error.strerror}", 2 if error.errno in _USERS else 1
        )
    except Exception as error:
        code = _fail(f"error: {type(error).__name__}: {error}", 1)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    if os.environ.get(DEBUG, "0") != "0":
        import traceback

        traceback.print_exc()
    print(" ".join(message.split()), file=sys.stderr)
    return code


def _quiet() -> None:
    """Keeps other libraries' chatter off the terminal: a user's lines are ours."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for name in ("absl", "jax", "orbax", "numba", "transformers"):
        logging.getLogger(name).setLevel(logging.WARNING)
