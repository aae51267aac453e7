"""Reading a text table however a spreadsheet wrote it: separator, encoding, decimal commas."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from agezoo.errors import InputError

SPREADSHEETS = {".xlsx", ".xlsm", ".xls", ".ods", ".numbers", ".gsheet"}
# "None" is not among them: as a diagnosis it means something.
_EMPTY = {"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "<NA>"}


@dataclass(frozen=True)
class RawTable:
    """A text table as it stands in its file.

    Attributes
    ----------
    frame
        All cells as text, None where empty; the index is the line number in the file minus 2.
    separator
        The separator that was recognised.
    notes
        What was repaired on the way, in words for the user.
    """

    frame: pd.DataFrame
    separator: str
    notes: tuple[str, ...]


def read_table(path: str | os.PathLike[str]) -> RawTable:
    """Read a CSV or TSV table with comma, semicolon or tab, with or without a byte-order mark.

    UTF-8 is expected; UTF-16 (Excel's "Unicode text") and Windows-1252 are recognised and noted. Where the separator
    is not a comma, columns of numbers with a decimal comma are read as numbers, and noted.

    Raises
    ------
    InputError
        If the file is absent, a spreadsheet, empty, has a column name twice or rows of unequal length.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such table", source=path)
    content = path.read_bytes()
    if path.suffix.lower() in SPREADSHEETS or content[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise InputError(
            "spreadsheets are not read", source=path, expected="a CSV file", remedy="open it and save as CSV (UTF-8)"
        )
    notes: list[str] = []
    text = _decoded(content, notes)
    if not text.strip():
        raise InputError("the table is empty", source=path, expected="a line of column names, then one line per image")
    header_line = text.splitlines()[0]
    separator = max(",;\t", key=header_line.count)
    frame = _frame(text, separator, path, notes)
    if separator != ",":
        frame = _with_decimal_points(frame, notes)
    return RawTable(frame, separator, tuple(notes))


def _frame(text: str, separator: str, path: Path, notes: list[str]) -> pd.DataFrame:
    # pandas would cut off the surplus cells of a line that is too long, and fill up one that is too short.
    lines = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    header = [name.strip() for name in next(lines)]
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        raise InputError("column names occur twice", source=path, found=", ".join(doubled))
    cells: dict[int, list[str | None]] = {}
    uneven: list[str] = []
    for line in lines:
        stripped = [cell.strip() for cell in line]
        if not any(stripped):
            continue
        if len(line) != len(header):
            uneven.append(f"line {lines.line_num} has {len(line)}")
        cells[lines.line_num - 2] = [None if cell in _EMPTY else cell for cell in stripped]
    if uneven:
        raise InputError(
            "rows have different numbers of cells",
            source=path,
            found=", ".join(uneven[:5]) + (f" and {len(uneven) - 5} more" if len(uneven) > 5 else ""),
            expected=f"{len(header)} cells per line, as the first line has (separator {separator!r})",
            remedy="put cells that contain the separator in double quotes",
        )
    if not cells:
        raise InputError("the table has no rows", source=path, found="column names only")
    if "" in header:
        notes.append(f"{header.count('')} column(s) without a name are left out")
    columns = {
        name: pd.Series([line[position] for line in cells.values()], index=list(cells), dtype=object)
        for position, name in enumerate(header)
        if name
    }
    return pd.DataFrame(columns)


def _decoded(content: bytes, notes: list[str]) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        notes.append("the table is in UTF-16")
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.append("the table is not UTF-8 and was read as Windows-1252; check names with accents")
        return content.decode("cp1252", errors="replace")


def _with_decimal_points(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    frame = frame.copy()
    for name in frame.columns:
        known = frame[name].dropna()
        if known.str.fullmatch(r"[+-]?\d+([.,]\d+)?").all() and known.str.contains(",", regex=False).any():
            points = [None if cell is None else cell.replace(",", ".") for cell in frame[name]]
            frame[name] = pd.Series(points, index=frame.index, dtype=object)
            notes.append(f"column {name}: decimal commas were read as decimal points")
    return frame
