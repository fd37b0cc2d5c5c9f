"""Writes a report: the page, and `results.json` last, so that its presence means that everything is there."""

from pathlib import Path

from mtv_jax.evaluation.report.page import page
from mtv_jax.evaluation.report.schema import RESULTS, Report
from mtv_jax.io.files import write_json, write_text

PAGE = "index.html"
SHEET = "contact_sheet.png"


def write_report(out: Path, report: Report) -> None:
    """Writes `index.html` and `results.json` into a folder; what the report refers to must be there already."""
    (out / RESULTS).unlink(missing_ok=True)
    write_text(out / PAGE, page(report))
    write_json(out / RESULTS, report.to_json())
