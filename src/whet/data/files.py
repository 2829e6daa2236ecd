"""Rows of one table file, whatever its format: JSON lines, JSON, CSV, TSV, Parquet."""

import codecs
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whet.data.faults import Faults
from whet.data.lines import json_rows, named, text_lines

Row = tuple[str, dict[str, Any]]
"""Where the row stands (file:line), and its cells by column name."""

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def table_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Yield the rows of a table file; its suffix, one of SUFFIXES, says how it is read."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet_rows(path, faults)
    if suffix in (".csv", ".tsv"):
        return _delimited_rows(path, faults)
    if suffix == ".json" and path.read_bytes().removeprefix(codecs.BOM_UTF8).lstrip().startswith(
        b"["
    ):
        return _json_list_rows(path, faults)
    return json_rows(path, faults)


def _json_list_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Rows of a file that is one JSON list; they are counted from 1, since JSON keeps no lines."""
    try:
        rows = json.loads("".join(line for _, line in text_lines(path, faults)))
    except json.JSONDecodeError as error:
        what = f"not valid JSON: {error.msg} at column {error.colno}"
        faults.error(
            "bad-json",
            f"{path}:{error.lineno}",
            what,
            "Write one JSON list of objects, or one object a line.",
        )
        return
    for number, row in enumerate(rows, start=1):
        where = f"{path}:item {number}"
        if isinstance(row, dict):
            yield where, row
        else:
            faults.error(
                "bad-json",
                where,
                f"expected an object, got {named(row)}",
                "Write a list of objects.",
            )
    if not rows:
        faults.error("empty-file", path, "the file holds no rows", "Fill it or delete it.")


def _delimited_rows(path: Path, faults: Faults) -> Iterator[Row]:
    lines = [line for _, line in text_lines(path, faults)]
    blank = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    lines = lines[blank:]
    if not lines:
        faults.error("empty-file", path, "the file holds no lines", "Fill it or delete it.")
        return
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    begins = first = blank + 1
    csv.field_size_limit(
        max(csv.field_size_limit(), sum(map(len, lines)))
    )  # a cell may be a whole document
    try:
        header = [name.strip() for name in next(reader)]
        begins = first = blank + reader.line_num + 1
        for cells in reader:
            where, begins = f"{path}:{begins}", blank + reader.line_num + 1
            if not cells:
                continue
            if len(cells) == len(header):
                yield where, {name: _cell(cell) for name, cell in zip(header, cells, strict=True)}
            else:
                what = f"expected {len(header)} cells as in the header, got {len(cells)}"
                faults.error(
                    "wrong-columns",
                    where,
                    what,
                    f"Quote cells that hold {delimiter!r} or a line break.",
                )
    except csv.Error as error:
        cure = 'Quote the cell that begins here, and write " inside it as "".'
        faults.error("bad-csv", f"{path}:{begins}", f"cannot be read on from here: {error}", cure)
        return
    if begins == first:
        faults.error(
            "empty-file", path, "the file holds a header and no rows", "Fill it or delete it."
        )


def _cell(cell: str) -> str | list[Any]:
    """Return a cell that holds a JSON list of strings as that list, any other cell as it is."""
    if cell.startswith('["') and cell.endswith('"]'):
        try:
            return list(json.loads(cell))
        except json.JSONDecodeError:
            return cell
    return cell


def _parquet_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Rows of a Parquet file; they are counted from 1."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        faults.error(
            "bad-parquet", path, f"not a Parquet file that can be read: {error}", "Write it again."
        )
        return
    if not table.num_rows:
        faults.error("empty-file", path, "the file holds no rows", "Fill it or delete it.")
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"{path}:row {number}", row
