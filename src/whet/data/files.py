"""Rows of one table file, whatever its format: JSON lines, JSON, CSV, TSV, Parquet."""

import codecs
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whet.data.faults import Faults
from whet.data.lines import Row, json_rows, json_type, text_lines

TABLE_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
FILL_OR_DELETE = "Fill it or delete it."


def table_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Yield the rows of a table file; its suffix, one of TABLE_SUFFIXES, decides how it is read."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_rows(path, faults)
    if suffix in (".csv", ".tsv"):
        return _delimited_rows(path, faults)
    if suffix == ".json" and _is_json_list(path):
        return _json_list_rows(path, faults)
    return json_rows(path, faults)


def _is_json_list(path: Path) -> bool:
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    return content.lstrip().startswith(b"[")


def _json_list_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Rows of a file that is one JSON list; items are counted from 1, since JSON keeps no lines."""
    lines = [line for _, line in text_lines(path, faults)]
    try:
        items = json.loads("".join(lines))
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}"
        faults.error(
            "bad-json",
            where,
            f"not valid JSON: {error.msg} at column {error.colno}",
            "Write one JSON list of objects, or one object a line.",
        )
        return
    for number, item in enumerate(items, start=1):
        where = f"{path}:item {number}"
        if isinstance(item, dict):
            yield where, item
        else:
            faults.error(
                "bad-json",
                where,
                f"expected an object, got {json_type(item)}",
                "Write a list of objects.",
            )
    if not items:
        faults.error(
            "empty-file",
            path,
            "the file holds no rows",
            FILL_OR_DELETE,
        )


def _delimited_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Rows of a CSV or TSV file with a header."""
    lines = [line for _, line in text_lines(path, faults)]
    blank_lines = 0
    while blank_lines < len(lines) and not lines[blank_lines].strip():
        blank_lines += 1
    lines = lines[blank_lines:]
    if not lines:
        faults.error(
            "empty-file",
            path,
            "the file holds no lines",
            FILL_OR_DELETE,
        )
        return

    # A CSV file may use commas, semicolons or tabs: the one that its header has most of.
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=lines[0].count)
    _allow_cells_of_any_length(lines)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line_number = blank_lines + 1  # where the record that is read next begins
    row_count = 0
    try:
        header = [name.strip() for name in next(reader)]
        line_number = blank_lines + reader.line_num + 1
        for cells in reader:
            where = f"{path}:{line_number}"
            line_number = blank_lines + reader.line_num + 1
            row_count += 1
            if not cells:  # a blank line
                continue
            if len(cells) == len(header):
                values = [_cell_value(cell) for cell in cells]
                yield where, dict(zip(header, values, strict=True))
            else:
                faults.error(
                    "wrong-columns",
                    where,
                    f"expected {len(header)} cells as in the header, got {len(cells)}",
                    f"Quote cells that hold {delimiter!r} or a line break.",
                )
    except csv.Error as error:
        faults.error(
            "bad-csv",
            f"{path}:{line_number}",
            f"cannot be read on from here: {error}",
            'Quote the cell that begins here, and write " inside it as "".',
        )
        return
    if not row_count:
        faults.error(
            "empty-file",
            path,
            "the file holds a header and no rows",
            FILL_OR_DELETE,
        )


def _allow_cells_of_any_length(lines: list[str]) -> None:
    """Raise csv's limit for one cell (131,072 characters): a cell may be a whole document."""
    total_length = sum(map(len, lines))
    csv.field_size_limit(max(csv.field_size_limit(), total_length))


def _cell_value(cell: str) -> str | list[Any]:
    """Return a cell that holds a JSON list of strings as that list, any other cell as it is."""
    if cell.startswith('["') and cell.endswith('"]'):
        try:
            return list(json.loads(cell))
        except json.JSONDecodeError:
            return cell
    return cell


def _parquet_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Rows of a Parquet file, counted from 1."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        faults.error(
            "bad-parquet",
            path,
            f"not a Parquet file that can be read: {error}",
            "Write it again.",
        )
        return
    if not table.num_rows:
        faults.error(
            "empty-file",
            path,
            "the file holds no rows",
            FILL_OR_DELETE,
        )
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"{path}:row {number}", row
