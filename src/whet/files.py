"""Files of a run: written whole or not at all, read back, hashed."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from whet.errors import ArtifactError

MANIFEST = "manifest.json"
SCRATCH = "scratch"
HASH_DIGITS = 40


def digest(*parts: object) -> str:
    """A short stable hash of JSON-able parts (40 hex digits).

    >>> digest({"b": 1, "a": [1, 2]}) == digest({"a": [1, 2], "b": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


def rolling_digest(parts: Iterable[object]) -> str:
    """The same kind of hash of many parts, one after the other, without holding them all."""
    seen = hashlib.sha256()
    for part in parts:
        seen.update(digest(part).encode("ascii"))
    return seen.hexdigest()[:HASH_DIGITS]


def file_digest(path: Path) -> str:
    """Hash of one file's bytes (40 hex digits)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]


def folder_digest(folder: Path) -> str:
    """Hash of every file below a folder, names included, without manifest and scratch files."""
    hashes = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.name != MANIFEST and SCRATCH not in name.parts:
            hashes.append((name.as_posix(), file_digest(path)))
    return digest(hashes)


def source_digest(name: str | None) -> str:
    """Hash of the file or folder that a setting names; "" for anything else, such as a hub id."""
    path = Path(name or os.devnull)
    if path.is_file():
        return file_digest(path)
    if path.is_dir():
        return folder_digest(path)
    return ""


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: it is written under another name, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, indented, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, one row a line."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    write_text(path, "".join(lines))


def read_json(path: Path) -> Any:
    """Read one JSON document. Raises ArtifactError when the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Delete its folder and run the stage again."
        ) from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines written by whet. Raises ArtifactError when the file is missing or damaged."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also cut at U+2028
        return [json.loads(line) for line in lines if line]
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}). Delete its folder and run the stage again."
        ) from error
