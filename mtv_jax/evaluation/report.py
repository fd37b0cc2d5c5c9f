"""A metric over many videos: a row a video, failures counted, and the summary."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.evaluation.av_align import NAME, Alignment, av_align
from mtv_jax.evaluation.statistics import bootstrap
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256
from mtv_jax.io.progress import progress


def alignment_report(
    files: Sequence[Path], measure: Callable[[Path], Alignment] = av_align
) -> dict[str, Any]:
    """AV-Align of each file and of all, as `results.json` holds it. A file that fails has its reason in its row."""
    rows = []
    for file in progress(files, "measuring"):
        try:
            rows.append({"video": file.name, "sha256": sha256(file), **asdict(measure(file))})
        except UserError as error:
            rows.append({"video": file.name, "error": str(error)})
    scores = [row["score"] for row in rows if "score" in row]
    empty = sum(1 for row in rows if row.get("onsets") == 0 and row.get("peaks") == 0)
    summary = {
        "metric": NAME,
        "mean": float(np.mean(scores)) if scores else None,
        "interval_95": bootstrap(scores),
        "videos": len(scores),
        "without_events": empty,
        "failed": len(rows) - len(scores),
    }
    return {"summary": summary, "rows": rows, "python": platform.python_version()}
