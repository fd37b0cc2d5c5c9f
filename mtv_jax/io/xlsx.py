"""Reads the text of a sheet of an Excel workbook (ECMA-376), by the standard library alone."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_MOST_BYTES = 256 * 2**20
"""Of a part of a workbook, unpacked."""


def read_sheet(path: str | Path, sheet: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a sheet that are not empty: their numbers, from 1, and the texts of their cells.

    Numbers are as the file writes them; a formula is its stored result. Raises UserError for a file that is no
    workbook, and for a sheet that it does not have.
    """
    path = existing_file(path)
    try:
        with zipfile.ZipFile(path) as book:
            texts = _shared_texts(book)
            rows = list(_part(book, _sheet_name(book, path, sheet)).iter(f"{_MAIN}row"))
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, OSError) as error:
        raise UserError(f"{path}: not an Excel workbook ({error})") from error
    for count, row in enumerate(rows, 1):
        cells: list[str] = []
        for cell in row.iter(f"{_MAIN}c"):
            at = _column(cell.get("r"), len(cells))
            cells += [""] * (at - len(cells)) + [_text(cell, texts)]
        if any(cells):
            yield int(row.get("r", count)), cells


def _part(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if book.getinfo(name).file_size > _MOST_BYTES:
        raise UserError(f"{book.filename}: {name} is larger than {_MOST_BYTES >> 20} MiB")
    return ElementTree.fromstring(book.read(name))


def _sheet_name(book: zipfile.ZipFile, path: Path, sheet: str) -> str:
    """The part that has a sheet."""
    sheets = {s.get("name"): s.get(_ID) for s in _part(book, "xl/workbook.xml").iter(f"{_MAIN}sheet")}
    if sheet not in sheets:
        raise UserError(f"{path}: no sheet {sheet!r}; it has {', '.join(map(str, sheets))}")
    parts = {part.get("Id"): part.get("Target", "") for part in _part(book, "xl/_rels/workbook.xml.rels")}
    target = parts[sheets[sheet]]
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _shared_texts(book: zipfile.ZipFile) -> list[str]:
    name = "xl/sharedStrings.xml"
    if name not in book.namelist():
        return []
    return [_runs(item) for item in _part(book, name).iter(f"{_MAIN}si")]


def _runs(item: ElementTree.Element) -> str:
    """The text of an item; its parts may differ in their fonts."""
    return "".join(run.text or "" for run in item.iter(f"{_MAIN}t"))


def _text(cell: ElementTree.Element, texts: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return _runs(cell)
    value = cell.findtext(f"{_MAIN}v") or ""
    return texts[int(value)] if cell.get("t") == "s" else value


def _column(reference: str | None, following: int) -> int:
    """The column, from 0, of a cell such as `AB7`; without a reference, that which follows."""
    letters = re.match("[A-Z]+", reference or "")
    if letters is None:
        return following
    number = 0
    for letter in letters.group():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
