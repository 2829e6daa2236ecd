"""Which column of a table is what: by name, never by order."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whet.data.faults import Faults

logger = logging.getLogger(__name__)

QUERY = ("query", "question", "anchor")
POSITIVE = ("positive", "positives", "pos", "passage", "document", "answer")
NEGATIVE = ("negative", "negatives", "neg", "hard_negatives")
NEGATIVE_QUERY = ("neg_q", "negative_queries")
GRADE = ("grade", "relevance", "label", "score")
NUMBERED_NEGATIVE = re.compile(r"neg(ative)?_?(\d+)")

DOCUMENT = "document"
"""Beside a column `answer` this may be the document's text or its file's name: nobody can tell."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The names, as the table writes them, of the columns that whet reads."""

    query: str
    positive: str
    negatives: tuple[str, ...]
    negative_queries: str | None
    grade: str | None


def has_pairs(names: Iterable[str]) -> bool:
    """Whether there is a column for the query and one for the positive.

    >>> has_pairs(["Question", "answer"]), has_pairs(["name", "answer"])
    (True, False)
    """
    lower_names = {name.lower() for name in names}
    has_query = not lower_names.isdisjoint(QUERY)
    has_positive = not lower_names.isdisjoint(POSITIVE)
    return has_query and has_positive


def is_passage_only(names: Sequence[str]) -> bool:
    """Whether a row is a passage without a query: its only column is the positive's.

    >>> is_passage_only(["positive"]), is_passage_only(["name", "answer"])
    (True, False)
    """
    return len(names) == 1 and names[0].lower() in POSITIVE


class ColumnFinder:
    """Finds the columns of rows, once for all rows with the same names."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._columns: dict[tuple[str, ...], Columns | None] = {}

    def find(self, names: Sequence[str], where: str) -> Columns | None:
        """Return the columns of a row with these names; see `find_columns`."""
        key = tuple(names)
        if key not in self._columns:
            self._columns[key] = find_columns(names, where, self._faults)
        return self._columns[key]


def find_columns(names: Sequence[str], where: str, faults: Faults) -> Columns | None:
    """Find the columns among `names`, in upper or lower case.

    Returns None, with a fault, where the column of the query or of the positive is missing.
    """
    query = _find_column(QUERY, "query", names, where, faults)
    positive = _find_column(POSITIVE, "positive passage", names, where, faults)
    if query is None:
        _add_missing_column("query", QUERY, positive, names, where, faults)
    if positive is None:
        _add_missing_column("positive passage", POSITIVE, None, names, where, faults)
    if query is None or positive is None:
        return None

    negatives = _negative_columns(names, where, faults)
    negative_queries = _find_column(NEGATIVE_QUERY, "negatives' queries", names, where, faults)
    grade = _find_column(GRADE, "grade", names, where, faults)
    used = {query, positive, *negatives, negative_queries, grade}
    ignored = [name for name in names if name not in used]
    if ignored:
        listed = ", ".join(ignored)
        logger.info(f"{where}: columns ignored: {listed}")
    return Columns(
        query=query,
        positive=positive,
        negatives=tuple(negatives),
        negative_queries=negative_queries,
        grade=grade,
    )


def _negative_columns(names: Sequence[str], where: str, faults: Faults) -> list[str]:
    """The column of all negatives, if there is one, then negative_1, negative_2 and so on."""
    negatives = []
    column = _find_column(NEGATIVE, "negatives", names, where, faults)
    if column:
        negatives.append(column)
    numbered = []
    for name in names:
        match = NUMBERED_NEGATIVE.fullmatch(name.lower())
        if match:
            number = int(match[2])
            numbered.append((number, name))
    for _, name in sorted(numbered):
        negatives.append(name)
    return negatives


def _find_column(
    aliases: tuple[str, ...],
    role: str,
    names: Sequence[str],
    where: str,
    faults: Faults,
) -> str | None:
    """Return the column that has one of the aliases as its name; with several, the first alias."""
    spelling = {name.lower(): name for name in names}
    matches = [spelling[alias] for alias in aliases if alias in spelling]
    if not matches:
        return None
    column = matches[0]
    if len(matches) > 1:
        message = f"columns {', '.join(matches)} can all be the {role}"
        if column == DOCUMENT:
            faults.error(
                "ambiguous-column",
                where,
                message,
                f"Name the one that is meant {aliases[0]}.",
            )
        else:
            faults.warn(
                "ambiguous-column",
                where,
                f"{message}; {column} is read",
                "Rename or delete the others.",
            )
    return column


def _add_missing_column(
    role: str,
    aliases: tuple[str, ...],
    positive: str | None,
    names: Sequence[str],
    where: str,
    faults: Faults,
) -> None:
    listed = ", ".join(names) or "none"
    message = f"no column for the {role}; columns found: {listed}"
    *others, last = aliases
    cure = f"Name one of them {', '.join(others)} or {last}."
    if positive is not None:
        cure += f" For passages without queries, {positive} has to be the only column."
    faults.error(
        "missing-column",
        where,
        message,
        cure,
    )
