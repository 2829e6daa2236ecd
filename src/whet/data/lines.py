"""Lines of text files and objects of JSON-lines files, each with its line number; what is broken becomes a fault."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whet.data.faults import Faults

UTF8_CURE = "Save the file as UTF-8 (iconv -f CP1252 -t UTF-8, or -f UTF-16)."


def text_lines(path: Path, faults: Faults) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line with its line end); a leading byte-order mark is dropped.

    A line that is not UTF-8 is a fault, and comes with U+FFFD for its broken bytes so that line numbers stay right.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                faults.error("bad-utf8", f"{path}:1", "the file is UTF-16, not UTF-8", UTF8_CURE)
                return
            line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                what = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line is not UTF-8"
                faults.error("bad-utf8", f"{path}:{number}", what, UTF8_CURE)
                text = line.decode("utf-8", "replace")
            yield number, text


def json_rows(path: Path, faults: Faults) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file:line, object) of a JSON-lines file; blank lines are skipped, an empty file is a fault."""
    empty = True
    for number, line in text_lines(path, faults):
        if not line.strip():
            continue
        empty = False
        where = f"{path}:{number}"
        try:
            row = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            if line.strip() in ("{", "[") and _is_one_value(path):
                what = "one JSON value over many lines, not one on each"
                faults.error(
                    "bad-json",
                    where,
                    what,
                    'Write one whole object a line, like {"_id": "d1", "text": "…"}.',
                )
                return
            what = f"not valid JSON: {error.msg} at column {error.colno}"
            faults.error(
                "bad-json",
                where,
                what,
                'Write one whole object a line, like {"_id": "d1", "text": "…"}.',
            )
            continue
        if isinstance(row, dict):
            yield where, row
        else:
            faults.error(
                "bad-json",
                where,
                f"expected an object, got {named(row)}",
                "Write one object a line.",
            )
    if empty and not any(fault.where == f"{path}:1" for fault in faults):
        faults.error("empty-file", path, "the file holds no lines", "Fill it or delete it.")


def _is_one_value(path: Path) -> bool:
    """Whether a file is one JSON value, written over many lines."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def usable(text: object, what: str, where: object, faults: Faults) -> bool:
    """Whether `text` is a string that a model can read; if not, that is a fault naming `what` it belongs to."""
    if text is None:
        faults.error("missing-text", where, f"{what} has no text", "Give it a text or delete it.")
    elif not isinstance(text, str):
        faults.error(
            "bad-text",
            where,
            f"the text of {what} is {named(text)}, not a string",
            "Write it in quotes.",
        )
    elif not text.strip():
        faults.error(
            "empty-text", where, f"the text of {what} is empty", "Give it a text or delete it."
        )
    elif not _encodable(text):
        cure = "Remove the half of a surrogate pair (a \\ud… escape that stands alone)."
        faults.error("bad-unicode", where, f"the text of {what} holds half a character", cure)
    else:
        return True
    return False


def named(value: object) -> str:
    """Say what a JSON value is, in the words of JSON.

    >>> named([1]), named(None), named(3.5)
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
    return names.get(type(value), f"a {type(value).__name__}")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
