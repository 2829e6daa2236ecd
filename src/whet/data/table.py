"""Turns rows of texts into a Collection.

A row has a query, its positives, and perhaps negatives and the queries that these answer. Equal
texts become one passage or one query. Ids count them in reading order: p000001, q000001. A row with
a positive and no query is a passage that is only searched.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from whet.data.columns import ColumnFinder, Columns, has_pairs, is_passage_only
from whet.data.faults import Faults
from whet.data.files import TABLE_SUFFIXES, table_rows
from whet.data.judgements import SPLITS, add_judgement, grade_of, split_rank
from whet.data.lines import Row, is_usable_text
from whet.records import Collection, Judgements, Passage


def is_table(path: Path) -> bool:
    """Whether a path is a file whose suffix is that of a table."""
    return path.suffix.lower() in TABLE_SUFFIXES and path.is_file()


def split_files(folder: Path) -> list[tuple[str, Path]]:
    """(split, file) of the tables in a folder that are named after a split: train, dev, test."""
    files = []
    for path in sorted(folder.iterdir()):
        has_suffix = path.suffix.lower() in TABLE_SUFFIXES
        if has_suffix and path.stem in SPLITS:
            files.append(path)
    files.sort(key=lambda path: split_rank(path.stem))
    return [(SPLITS[path.stem], path) for path in files]


def query_tables(folder: Path) -> list[Path]:
    """Tables whose first row has a query and a positive.

    They may lie in the folder, or in its folder `data` as on the hub.
    """
    paths: list[Path] = []
    for place in (folder, folder / "data"):
        if place.is_dir():
            paths += sorted(place.iterdir())
    tables = [path for path in paths if is_table(path)]
    return [path for path in tables if has_pairs(_first_row(path))]


def _first_row(path: Path) -> dict[str, Any]:
    """The first row of a table; empty if there is none."""
    for _, row in table_rows(path, Faults()):
        return row
    return {}


def read_tables(name: str, files: Iterable[tuple[str, Path]], faults: Faults) -> Collection:
    """Read (split, file) tables into one Collection; what is wrong with them goes to `faults`."""
    table = Table(faults)
    for split, path in files:
        rows = table_rows(path, faults)
        table.read(split, rows)
    return table.collection(name)


class Table:
    """Rows read so far, as the parts of a Collection."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._passages: dict[str, str] = {}  # text → id, in reading order
        self._queries: dict[str, str] = {}  # text → id
        self._qrels: dict[str, Judgements] = {}
        self._negatives: dict[str, dict[str, str]] = {}  # query id → passage id → where
        self._positive_queries: dict[str, dict[str, None]] = {}  # passage id → texts, in order
        self._column_finder = ColumnFinder(faults)
        self._passage_only_rows: list[str] = []  # where they stand

    def read(self, split: str, rows: Iterable[Row]) -> None:
        """Add the rows of one split."""
        judged = self._qrels.setdefault(split, {})
        for where, row in rows:
            names = tuple(row)
            if is_passage_only(names):
                (name,) = names
                self._add_passages(_as_list(row[name]), where)
                continue
            columns = self._column_finder.find(names, where)
            if columns is not None:
                self._add_row(row, columns, judged, where)

    def collection(self, name: str) -> Collection:
        """Return everything read.

        Negatives that are also positives of their query are left out, with a warning.
        """
        if self._passage_only_rows:
            count = len(self._passage_only_rows)
            self._faults.warn(
                "no-query",
                self._passage_only_rows[0],
                f"{count:,} rows have a passage and no query; they are only searched",
                "None if that is intended; otherwise write the query.",
            )
        negatives = self._negatives_without_positives()
        passages = {key: Passage(key, text) for text, key in self._passages.items()}
        queries = {key: text for text, key in self._queries.items()}
        qrels = {split: judged for split, judged in self._qrels.items() if judged}
        positive_queries = {key: list(texts) for key, texts in self._positive_queries.items()}
        return Collection(
            name,
            passages=passages,
            queries=queries,
            qrels=qrels,
            negatives=negatives,
            positive_queries=positive_queries,
        )

    def _negatives_without_positives(self) -> dict[str, list[str]]:
        """Query id → ids of its negatives that no split calls positives of the same query."""
        positives: set[tuple[str, str]] = set()
        for judgements in self._qrels.values():
            for query, judged in judgements.items():
                for passage, grade in judged.items():
                    if grade > 0:
                        positives.add((query, passage))

        negatives: dict[str, list[str]] = {}
        for query, places in self._negatives.items():
            for passage, where in places.items():
                if (query, passage) not in positives:
                    negatives.setdefault(query, []).append(passage)
                    continue
                message = (
                    f"a negative of query {query} is also its positive ({passage}); "
                    "it is not used as a negative"
                )
                self._faults.warn(
                    "negative-is-positive",
                    where,
                    message,
                    "Delete one of the two.",
                )
        return negatives

    def _add_row(
        self,
        row: dict[str, Any],
        columns: Columns,
        judged: Judgements,
        where: str,
    ) -> None:
        query_text = row[columns.query]
        positives = _as_list(row[columns.positive])
        if not positives:
            self._faults.error(
                "no-positive",
                where,
                "the row has no positive passage",
                "Add one or delete the row.",
            )
        has_query = query_text not in (None, "")
        has_negatives = any(_as_list(row[name]) for name in columns.negatives)
        if positives and not has_query and not has_negatives:
            self._add_passages(positives, where)
            return

        # A row without positives is read on: its other faults are to be named as well.
        usable_positives = self._usable(positives, "the positive passage", where)
        if not is_usable_text(query_text, "the query", where, self._faults):
            return
        query = _id_of(query_text, self._queries, "q")
        grade: int | None = 1
        if columns.grade:
            grade = grade_of(row[columns.grade], where, self._faults)
        if grade is not None:
            for text in usable_positives:
                passage = _id_of(text, self._passages, "p")
                add_judgement(judged, query, passage, grade, where, self._faults)
        self._add_negatives(row, columns, query, where)

    def _add_passages(self, texts: list[Any], where: str) -> None:
        """Add the passages of a row without a query."""
        if not texts:
            self._faults.error(
                "no-positive",
                where,
                "the row holds no passage",
                "Write one or delete the row.",
            )
        for text in self._usable(texts, "the passage", where):
            _id_of(text, self._passages, "p")
        self._passage_only_rows.append(where)  # one warning will name the first and count them

    def _add_negatives(
        self,
        row: dict[str, Any],
        columns: Columns,
        query: str,
        where: str,
    ) -> None:
        negatives: list[Any] = []
        for name in columns.negatives:
            negatives += _as_list(row[name])
        queries: list[Any] = []
        if columns.negative_queries:
            queries = _as_list(row[columns.negative_queries])
        if queries and len(queries) != len(negatives):
            entries = f"{len(queries)} entries in {columns.negative_queries}"
            self._faults.error(
                "misaligned",
                where,
                f"{len(negatives)} negatives but {entries}",
                'Write one entry for each negative, "" where there is none.',
            )
            return

        for index, text in enumerate(negatives):
            if text is None or text == "":
                self._faults.warn(
                    "empty-negative",
                    where,
                    "a negative is empty and left out",
                    "Delete it; a query without negatives needs an empty list.",
                )
            elif is_usable_text(text, "the negative passage", where, self._faults):
                passage = _id_of(text, self._passages, "p")
                places = self._negatives.setdefault(query, {})
                places.setdefault(passage, where)
                if queries:
                    texts = _as_list(queries[index])
                    self._add_positive_queries(passage, texts, where)

    def _add_positive_queries(self, passage: str, texts: list[Any], where: str) -> None:
        given = [text for text in texts if text]
        for text in self._usable(given, "the negative's query", where):
            known = self._positive_queries.setdefault(passage, {})
            known[text] = None

    def _usable(self, texts: Iterable[Any], owner: str, where: str) -> list[str]:
        """The texts that a model can read; the others are faults."""
        return [text for text in texts if is_usable_text(text, owner, where, self._faults)]


def _as_list(cell: object) -> list[Any]:
    """Return a cell as a list; None and the empty string are no text.

    >>> _as_list("one"), _as_list(["one", "two"]), _as_list("")
    (['one'], ['one', 'two'], [])
    """
    if cell is None or cell == "":
        return []
    if isinstance(cell, list | tuple):
        return list(cell)
    return [cell]


def _id_of(text: str, known: dict[str, str], letter: str) -> str:
    """Return the id of a text, a new one if the text is not known yet.

    >>> _id_of("new", {"old": "p000001"}, "p")
    'p000002'
    """
    next_number = len(known) + 1
    next_id = f"{letter}{next_number:06d}"
    return known.setdefault(text, next_id)
