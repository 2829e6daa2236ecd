"""What a user says of audited pairs: a table of query and passage ids with an `accept` column, yes or no."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.markup import escape

from whet.data.faults import Faults
from whet.data.files import SUFFIXES, table_rows
from whet.errors import ConfigError, DataError
from whet.progress import say
from whet.records import Collection

MARKS = {"yes": 1, "y": 1, "true": 1, "1": 1, "x": 1, "no": 0, "n": 0, "false": 0, "0": 0}
"""What may stand in the column `accept`; a pair whose cell is empty stays as it is."""


def with_marks(collection: Collection, path: Path) -> Collection:
    """The collection with what is accepted as positives of its training queries, and what is not as judged irrelevant.

    Raises ConfigError when there is no such file, DataError with every row that cannot be understood.
    """
    if not path.is_file() or path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: no such file of labels; give the suspects.csv that `whet audit` wrote, with marks")
    faults, counted = Faults(), Counter[int]()
    train = {query: dict(judged) for query, judged in collection.qrels["train"].items()}
    for where, row in table_rows(path, faults):
        if "accept" not in row or "query_id" not in row or "passage_id" not in row:
            cure = "Keep the header that `whet audit` wrote."
            faults.error(
                "missing-column",
                where,
                f"columns are {', '.join(row)}; query_id, passage_id, accept are not all there",
                cure,
            )
            break
        mark = str(row["accept"] if row["accept"] is not None else "").strip().lower()
        if not mark:
            continue
        query, passage = str(row["query_id"]), str(row["passage_id"])
        if mark not in MARKS:
            faults.error(
                "bad-mark", where, f"accept is {row['accept']!r}", f"Write one of {', '.join(MARKS)}, or nothing."
            )
        elif query not in train or passage not in collection.passages:
            what = f"query {query!r} with passage {passage!r} is not in the training data"
            faults.error("unknown-id", where, what, "Give labels that were made from this data, with the same seed.")
        else:
            train[query][passage] = max(train[query].get(passage, 0), MARKS[mark])  # a known positive stays one
            counted[MARKS[mark]] += 1
    if any(fault.level == "error" for fault in faults):
        raise DataError(faults)
    colour = "default" if counted else "yellow"
    say(f"[{colour}]{escape(str(path))}: {counted[1]} pair(s) accepted, {counted[0]} refused[/]")
    return replace(collection, qrels={**collection.qrels, "train": train})
