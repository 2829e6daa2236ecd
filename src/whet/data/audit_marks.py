"""What a user says of audited pairs.

The file is a table of query and passage ids with a column `accept`: yes or no.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whet.data.faults import Faults
from whet.data.files import table_rows
from whet.data.split import same_text
from whet.data.table import is_table
from whet.errors import ConfigError, raise_errors
from whet.records import Collection

logger = logging.getLogger(__name__)

ACCEPTED = 1
REFUSED = 0
MARKS = {
    "yes": ACCEPTED,
    "y": ACCEPTED,
    "true": ACCEPTED,
    "1": ACCEPTED,
    "x": ACCEPTED,
    "no": REFUSED,
    "n": REFUSED,
    "false": REFUSED,
    "0": REFUSED,
}
"""What may stand in the column `accept`. A pair whose cell is empty stays as it is."""

COLUMNS = ("query_id", "passage_id", "accept")


@dataclass(frozen=True, slots=True)
class Mark:
    """One marked row: its place, its query and passage (ids), and whether the passage answers.

    `accepted` is ACCEPTED (1) or REFUSED (0), and serves as the grade. `row` holds all its cells.
    """

    where: str
    query: str
    passage: str
    accepted: int
    row: Mapping[str, Any]


def read_marks(path: Path, faults: Faults) -> list[Mark]:
    """Every marked row of a file of labels; what cannot be understood goes to `faults`."""
    marks: dict[tuple[str, str], Mark] = {}
    for where, row in table_rows(path, faults):
        if any(name not in row for name in COLUMNS):
            faults.error(
                "missing-column",
                where,
                f"columns are {', '.join(row)}; expected {', '.join(COLUMNS)} among them",
                "Keep the header that `whet audit` wrote.",
            )
            break
        cell = row["accept"]
        text = "" if cell is None else str(cell).strip().lower()
        if not text:
            continue
        if text not in MARKS:
            faults.error(
                "bad-mark",
                where,
                f"accept is {cell!r}",
                f"Write one of {', '.join(MARKS)}, or nothing.",
            )
            continue
        mark = Mark(where, str(row["query_id"]), str(row["passage_id"]), MARKS[text], row)
        earlier = marks.get((mark.query, mark.passage))
        if earlier and earlier.accepted != mark.accepted:
            opposite = f"the opposite for the same pair at {earlier.where}"
            faults.error(
                "two-marks",
                where,
                f"accept is {cell!r}, and {opposite}",
                "Delete one of the two.",
            )
        else:
            marks[mark.query, mark.passage] = mark
    return list(marks.values())


def with_marks(collection: Collection, path: Path) -> Collection:
    """The collection with the marks of a file as judgements of its training queries.

    An accepted passage becomes a positive, a refused one is judged irrelevant.

    Raises ConfigError when there is no such file or no mark in it. Raises DataError with every row
    that cannot be used: its ids are unknown, their texts have changed since the audit, or its
    passage answers a dev or test query.
    """
    if not is_table(path):
        raise ConfigError(
            f"{path}: no such file of labels; "
            "give the suspects.csv that `whet audit` wrote, with marks"
        )
    faults = Faults()
    marks = read_marks(path, faults)
    if not marks and not faults:
        raise ConfigError(f"{path}: nothing is marked; write yes or no into the column accept")

    train = {query: dict(judged) for query, judged in collection.qrels["train"].items()}
    held_out = held_out_texts(collection)
    counts: Counter[int] = Counter()
    for mark in marks:
        if not _is_usable(mark, collection, held_out, faults):
            continue
        judged = train[mark.query]
        known_grade = judged.get(mark.passage, 0)
        if known_grade > 0 and not mark.accepted:
            answer = f"passage {mark.passage!r} is a known answer of query {mark.query!r}"
            faults.warn(
                "known-positive",
                mark.where,
                f"{answer}, and stays one",
                "If it is no answer, delete it from the data.",
            )
        # A known grade of 2 stays 2: a mark says yes or no, not how relevant.
        judged[mark.passage] = max(known_grade, mark.accepted)
        counts[mark.accepted] += 1
    raise_errors(faults)

    for fault in faults:
        logger.warning(str(fault))
    logger.info(f"{path}: {counts[ACCEPTED]} pair(s) accepted, {counts[REFUSED]} refused")
    return replace(collection, qrels={**collection.qrels, "train": train})


def held_out_texts(collection: Collection) -> set[str]:
    """Texts of the passages that answer a dev or test query, under whatever id."""
    answers = collection.answering("dev") | collection.answering("test")
    return {same_text(collection.passages[passage].content) for passage in answers}


def _is_usable(
    mark: Mark,
    collection: Collection,
    held_out: set[str],
    faults: Faults,
) -> bool:
    """Whether a mark can be used for training; if not, that is a fault."""
    query = mark.query
    passage = mark.passage
    if query not in collection.qrels["train"] or passage not in collection.passages:
        faults.error(
            "unknown-id",
            mark.where,
            f"query {query!r} with passage {passage!r} is not in the training data",
            "Give labels that were made from this data, with the same seed.",
        )
        return False
    if _has_changed(collection, mark):
        faults.error(
            "moved-id",
            mark.where,
            f"{query!r} or {passage!r} is another text now than when it was marked",
            "The data has changed since the audit: run `whet audit` again.",
        )
        return False
    # By text and not by id: the same passage may be there twice.
    text = same_text(collection.passages[passage].content)
    if mark.accepted and text in held_out:
        faults.error(
            "held-out",
            mark.where,
            f"passage {passage!r} answers a dev or test query, so it must not be trained on",
            "Delete the row.",
        )
        return False
    return True


def _has_changed(collection: Collection, mark: Mark) -> bool:
    """Whether the texts in a row differ from those that its ids have now.

    A row may leave texts out. The passage in it may be cut short.
    """
    texts_now = {
        "query": collection.queries[mark.query],
        "passage": collection.passages[mark.passage].content,
    }
    for column, text in texts_now.items():
        shown = mark.row.get(column)
        if shown and not same_text(text).startswith(same_text(str(shown))):
            return True
    return False
