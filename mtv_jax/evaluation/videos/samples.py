"""What was measured of each video, kept in JSONL files, so that a run resumes and several processes share one.

A row is

    {"metric": "temp_c", "key": SHA256, "id": ID, "code": "mtv_jax 0.1.0, code ...", "values": {...}, "seconds": 1.2}

or, with an "error" in place of the values, of a video that could not be measured. `key` identifies what the row depends
on, so that a changed video or network is measured again, and a renamed video is not. `code` says which code measured
it: other code does not measure it again, but the report says so.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.metric import Instrument, VideoMetric
from mtv_jax.io.errors import UserError
from mtv_jax.io.jsonl import RowWriter, read_rows

FOLDER = "samples"
_MANY = 64
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
                    self._rows[row["key"]] = _compact(row)

    def get(self, key: str) -> Row | None:
        """The row with this key."""
        return self._rows.get(key)

    def writer(self) -> RowWriter:
        """To be opened once, and given to `add`."""
        return RowWriter(self._file)

    def add(self, writer: RowWriter, row: Row) -> None:
        """Keeps a row on disk."""
        writer.append([row])
        self._rows[row["key"]] = _compact(row)


def _compact(row: Row) -> Row:
    """The row with lists of many numbers, such as FVD's features, as arrays, which take a quarter of the memory."""
    values = {
        name: np.array(value) if isinstance(value, list) and len(value) >= _MANY else value
        for name, value in row.get("values", {}).items()
    }
    return {**row, "values": values} if values else row


def key_of(metric: VideoMetric, instrument: Instrument, clip: Clip) -> str:
    """Identifies what a measurement depends on. Raises UserError if a file of the clip cannot be read."""
    content = clip.content(metric.needs)
    parts = [metric.name, instrument.variant, dict(instrument.facts), instrument.untrained, content]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
