"""The protocol of `jsonl:COMMAND`: a JSON object a line is asked on standard input and answered on standard output.

The scripts beside this file run in environments of their own, without mtv_jax.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(card: dict[str, Any], answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers questions until there are no more; `{}` asks for the card. What packages print goes to standard error."""
    for line in sys.stdin:
        question = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            found = answer(question) if question else card
        print(json.dumps(found), flush=True)


def sha256(path: Path) -> str:
    """Of a file, or of the files in a folder and their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    hashes = [f"{file.relative_to(path)} {sha256(file)}" for file in files]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
