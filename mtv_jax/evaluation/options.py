"""Fields of the options of suites, which are flags of `evaluate` too."""

from dataclasses import field
from typing import Any


def option(default: Any, help_text: str, **flag: Any) -> Any:
    """A field of a dataclass, with the options of its flag for `argparse`."""
    shown = "" if default is None or default is False or default == "" else f" (default: {default})"
    return field(default=default, metadata={"help": help_text + shown, **flag})
