"""Who speaks when: turns, and the RTTM files that hold them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_path, existing_file


@dataclass(frozen=True, order=True)
class Turn:
    """A speaker speaks from `start` to `end`, in seconds. Turns of different speakers may overlap."""

    start: float
    end: float
    speaker: str

    def __post_init__(self):
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start < self.end):
            raise UserError(
                f"turn {self.start} to {self.end} s: must start at 0 or later, and before its end"
            )


def read_rttm(path: Path) -> list[Turn]:
    """The turns of an RTTM file (NIST, Rich Transcription 2009), in order of time.

    Its lines are `SPEAKER FILE CHANNEL START DURATION <NA> <NA> NAME <NA> <NA>`; lines of other kinds are ignored.
    Raises UserError for a line without these fields.
    """
    turns = []
    for number, line in enumerate(existing_file(path).read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if fields[:1] != ["SPEAKER"]:
            continue
        try:
            start, seconds, speaker = float(fields[3]), float(fields[4]), fields[7]
        except (IndexError, ValueError) as error:
            raise UserError(f"{path}: line {number} is no turn: {line[:80]!r}") from error
        turns.append(Turn(start, start + seconds, speaker))
    return sorted(turns)


def write_rttm(path: Path, turns: Iterable[Turn], name: str) -> None:
    """Writes turns of the sound `name`, which must not have spaces, as an RTTM file."""
    lines = [
        f"SPEAKER {name} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in sorted(turns)
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
