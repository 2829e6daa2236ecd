"""What a user says of audited pairs: a table of query and passage ids with an `accept` column, yes or no."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from whet.data.faults import Faults
from whet.data.files import SUFFIXES, table_rows
from whet.data.split import same_text
from whet.errors import ConfigError, raise_errors
from whet.progress import say
from whet.records import Collection

MARKS = {"yes": 1, "y": 1, "true": 1, "1": 1, "x": 1, "no": 0, "n": 0, "false": 0, "0": 0}
"""What may stand in the column `accept`; a pair whose cell is empty stays as it is."""

IDS = ("query_id", "passage_id", "accept")


@dataclass(frozen=True, slots=True)
class Mark:
    """One row that is marked: where it stands, what it is about, and whether the passage answers the query."""

    where: str
    query: str
    passage: str
    accepted: int
    row: Mapping[str, Any]


def read_marks(path: Path, faults: Faults) -> list[Mark]:
    """Every marked row of a file of labels; what cannot be understood goes to `faults`."""
    found: dict[tuple[str, str], Mark] = {}
    for where, row in table_rows(path, faults):
        if any(name not in row for name in IDS):
            what = f"columns are {', '.join(row)}; query_id, passage_id, accept are not all there"
            faults.error("missing-column", where, what, "Keep the header that `whet audit` wrote.")
            break
        said = str(row["accept"] if row["accept"] is not None else "").strip().lower()
        pair = str(row["query_id"]), str(row["passage_id"])
        if not said:
            continue
        if said not in MARKS:
            cure = f"Write one of {', '.join(MARKS)}, or nothing."
            faults.error("bad-mark", where, f"accept is {row['accept']!r}", cure)
        elif pair in found and found[pair].accepted != MARKS[said]:
            what = f"accept is {row['accept']!r}, and the opposite for the same pair at {found[pair].where}"
            faults.error("two-marks", where, what, "Delete one of the two.")
        else:
            found[pair] = Mark(where, *pair, MARKS[said], row)
    return list(found.values())


def with_marks(collection: Collection, path: Path) -> Collection:
    """The collection with what is accepted as positives of its training queries, and what is not as judged irrelevant.

    Raises ConfigError when there is no such file or no mark in it, DataError with every row that cannot be used: ids
    that are not there, or whose texts are others by now, and passages that answer a dev or test query.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path}: no such file of labels; give the suspects.csv that `whet audit` wrote, with marks"
        )
    faults, counted = Faults(), Counter[int]()
    marks = read_marks(path, faults)
    if not marks and not faults:
        raise ConfigError(
            f"{path}: nothing is marked in it; write yes or no into the column accept"
        )
    train = {query: dict(judged) for query, judged in collection.qrels["train"].items()}
    held_out = held_out_texts(collection)
    for mark in marks:
        if mark.query not in train or mark.passage not in collection.passages:
            what = f"query {mark.query!r} with passage {mark.passage!r} is not in the training data"
            cure = "Give labels that were made from this data, with the same seed."
            faults.error("unknown-id", mark.where, what, cure)
        elif _moved(collection, mark):
            what = f"{mark.query!r} or {mark.passage!r} is another text now than when it was marked"
            faults.error(
                "moved-id", mark.where, what, "The data has changed since the audit: audit it anew."
            )
        elif mark.accepted and same_text(collection.passages[mark.passage].content) in held_out:
            what = f"passage {mark.passage!r} answers a dev or test query: trained on, it would be no test any more"
            faults.error("held-out", mark.where, what, "Delete the row.")
        else:
            judged = train[mark.query]
            if judged.get(mark.passage, 0) > 0 and not mark.accepted:
                what = f"passage {mark.passage!r} is a known answer of query {mark.query!r}, and stays one"
                faults.warn(
                    "known-positive", mark.where, what, "Take it out of the data, if it is none."
                )
            judged[mark.passage] = max(judged.get(mark.passage, 0), mark.accepted)
            counted[mark.accepted] += 1
    raise_errors(faults)
    for fault in faults:
        say(f"[yellow]warning[/yellow] {escape(str(fault))}")
    say(f"{escape(str(path))}: {counted[1]} pair(s) accepted, {counted[0]} refused")
    return replace(collection, qrels={**collection.qrels, "train": train})


def held_out_texts(collection: Collection) -> set[str]:
    """Texts of the passages that answer a dev or test query, under whatever id."""
    answers = collection.answering("dev") | collection.answering("test")
    return {same_text(collection.passages[passage].content) for passage in answers}


def _moved(collection: Collection, mark: Mark) -> bool:
    """Whether the texts that a row shows, where it shows them, are not those that its ids mean now."""
    texts = (
        (mark.row.get("query"), collection.queries[mark.query]),
        (mark.row.get("passage"), collection.passages[mark.passage].content),
    )
    return any(
        shown and not same_text(now).startswith(same_text(str(shown))) for shown, now in texts
    )
