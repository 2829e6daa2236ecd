"""Mined negatives on disk: one JSON line per training query."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from whet.files import read_jsonl, write_jsonl
from whet.records import MinedQuery, Negative


def write_mined(path: Path, mined: Sequence[MinedQuery]) -> None:
    """Write mined queries as JSON lines; the same records always give the same bytes."""
    write_jsonl(path, [asdict(query) for query in mined])


def read_mined(path: Path) -> list[MinedQuery]:
    """Read what `write_mined` wrote; raises ArtifactError on a missing or damaged file."""
    mined = []
    for row in read_jsonl(path):
        negatives = [Negative(**negative) for negative in row["negatives"]]
        mined.append(MinedQuery(row["query_id"], tuple(negatives)))
    return mined
