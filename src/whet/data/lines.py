"""Reads the lines of text files and the objects of JSON-lines files, each with its place.

A broken line becomes a fault, and reading goes on.
"""

import codecs
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from whet.data.faults import Faults

Row: TypeAlias = tuple[str, dict[str, Any]]
"""Where a row stands (such as file:line), and its cells by column name."""

Rows: TypeAlias = Iterator[tuple[str, Mapping[str, Any]]]
"""Rows of any reader, with their places."""

UTF8_CURE = "Save the file as UTF-8 (iconv -f CP1252 -t UTF-8, or -f UTF-16)."
ONE_OBJECT_A_LINE = 'Write one whole object a line, like {"_id": "d1", "text": "…"}.'


def text_lines(path: Path, faults: Faults) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line with its line end); a leading byte-order mark is dropped.

    A line that is not UTF-8 is a fault. It still comes, with U+FFFD for its broken bytes, so that
    line numbers stay right.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                faults.error(
                    "bad-utf8",
                    f"{path}:1",
                    "the file is UTF-16, not UTF-8",
                    UTF8_CURE,
                )
                return
            line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
                faults.error(
                    "bad-utf8",
                    f"{path}:{number}",
                    f"{byte} is not UTF-8",
                    UTF8_CURE,
                )
                text = line.decode("utf-8", "replace")
            yield number, text


def json_rows(path: Path, faults: Faults) -> Iterator[Row]:
    """Yield (file:line, object) of a JSON-lines file.

    Blank lines are skipped. An empty file is a fault.
    """
    empty = True
    for number, line in text_lines(path, faults):
        if not line.strip():
            continue
        empty = False
        where = f"{path}:{number}"
        try:
            # Without its line end, so that the column of an error is one of this line.
            value = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            if line.strip() in ("{", "[") and _is_one_json_value(path):
                faults.error(
                    "bad-json",
                    where,
                    "one JSON value over many lines, not one on each",
                    ONE_OBJECT_A_LINE,
                )
                return
            faults.error(
                "bad-json",
                where,
                f"not valid JSON: {error.msg} at column {error.colno}",
                ONE_OBJECT_A_LINE,
            )
            continue
        if isinstance(value, dict):
            yield where, value
        else:
            faults.error(
                "bad-json",
                where,
                f"expected an object, got {json_type(value)}",
                "Write one object a line.",
            )

    # A UTF-16 file ends at its first line; its fault says already why there are no rows.
    is_first_line_faulty = any(fault.where == f"{path}:1" for fault in faults)
    if empty and not is_first_line_faulty:
        faults.error(
            "empty-file",
            path,
            "the file holds no lines",
            "Fill it or delete it.",
        )


def _is_one_json_value(path: Path) -> bool:
    """Whether a file is one JSON value, written over many lines."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def is_usable_text(
    text: object,
    owner: str,
    where: object,
    faults: Faults,
) -> bool:
    """Whether `text` is a string that a model can read.

    If it is not, that is a fault; its message names the text's `owner`, such as "passage 'd3'".
    """
    if text is None:
        faults.error(
            "missing-text",
            where,
            f"{owner} has no text",
            "Give it a text or delete it.",
        )
    elif not isinstance(text, str):
        faults.error(
            "bad-text",
            where,
            f"the text of {owner} is {json_type(text)}, not a string",
            "Write it in quotes.",
        )
    elif not text.strip():
        faults.error(
            "empty-text",
            where,
            f"the text of {owner} is empty",
            "Give it a text or delete it.",
        )
    elif not _is_encodable(text):
        faults.error(
            "bad-unicode",
            where,
            f"the text of {owner} holds half a character",
            "Remove the half of a surrogate pair (a \\ud… escape that stands alone).",
        )
    else:
        return True
    return False


def json_type(value: object) -> str:
    """Say what a JSON value is, in the words of JSON.

    >>> json_type([1]), json_type(None), json_type(3.5)
    ('a list', 'null', 'a number')
    """
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    other = f"a {type(value).__name__}"
    return names.get(type(value), other)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
