"""What was measured of each video, kept in JSONL files, so that a run resumes and several processes share one.

A row is

    {"metric": "temp_c", "key": SHA256, "values": {...}, "seconds": 1.2}

or, with an "error" in place of the values, of a video that could not be measured. `key` identifies what the row depends
on, so that a changed video or network is measured again, and a renamed video is not.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.metric import Instrument, VideoMetric
from mtv_jax.io.errors import UserError
from mtv_jax.io.jsonl import RowWriter, read_rows

FOLDER = "samples"
Row = Mapping[str, Any]


class Samples:
    """The rows in a folder; those that are added go into the file of this part of the run."""

    def __init__(self, folder: Path, part: str):
        self._file = folder / f"{part}.jsonl"
        self._rows: dict[str, Row] = {}
        for file in sorted(folder.glob("*.jsonl")):
            for row in read_rows(file):
                if not isinstance(row, dict) or not {"key"} < row.keys():
                    raise UserError(f"{file}: a row of it is damaged ({str(row)[:60]}); remove the file")
                # What one process could not measure, another one may have measured since.
                if "values" in row or row["key"] not in self._rows:
                    self._rows[row["key"]] = row

    def get(self, key: str) -> Row | None:
        """The row with this key."""
        return self._rows.get(key)

    def writer(self) -> RowWriter:
        """To be opened once, and given to `add`."""
        return RowWriter(self._file)

    def add(self, writer: RowWriter, row: Row) -> None:
        """Keeps a row on disk."""
        writer.append([row])
        self._rows[row["key"]] = row


def key_of(metric: VideoMetric, instrument: Instrument, clip: Clip) -> str:
    """Identifies what a measurement depends on. Raises UserError if a file of the clip cannot be read."""
    content = clip.content(metric.needs)
    parts = [metric.name, instrument.variant, dict(instrument.facts), instrument.untrained, content]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
