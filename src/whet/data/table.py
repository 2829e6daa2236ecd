"""Turns rows of texts (a query, its positives, perhaps negatives and their queries) into a Collection.

Equal texts become one passage or one query; ids count them in the order of reading: p000001, q000001. A row with a
positive and no query is a passage that is searched, and that nobody asks for.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from whet.data.columns import Columns, has_pairs, unasked, understand
from whet.data.faults import Faults
from whet.data.files import SUFFIXES, Row, table_rows
from whet.data.judgements import SPLIT_ORDER, SPLITS, add_judgement, grade_of
from whet.data.lines import usable
from whet.records import Collection, Judgements, Passage


def split_files(folder: Path) -> list[tuple[str, Path]]:
    """(split, file) of every table in a folder that is named after a split, in the order train, dev, test."""
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and path.stem in SPLITS
    ]
    return sorted(
        ((SPLITS[path.stem], path) for path in files), key=lambda pair: SPLIT_ORDER.index(pair[0])
    )


def question_tables(folder: Path) -> list[Path]:
    """Tables in a folder, or in its folder `data` as on the hub, whose first row has a query and a positive."""
    found = [
        path
        for place in (folder, folder / "data")
        if place.is_dir()
        for path in sorted(place.iterdir())
    ]
    tables = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    return [path for path in tables if has_pairs(next(table_rows(path, Faults()), ("", {}))[1])]


def read_tables(name: str, files: Iterable[tuple[str, Path]], faults: Faults) -> Collection:
    """Read (split, file) tables into one Collection; what is wrong with them goes to `faults`."""
    table = Table(faults)
    for split, path in files:
        table.read(split, table_rows(path, faults))
    return table.collection(name)


class Table:
    """Rows read so far, as the parts of a Collection."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._passages: dict[str, str] = {}  # text → id, as in the next line
        self._queries: dict[str, str] = {}
        self._qrels: dict[str, Judgements] = {}
        self._negatives: dict[str, dict[str, str]] = {}  # query id → passage id → where
        self._stars: dict[str, dict[str, None]] = {}  # passage id → query texts, in order
        self._columns: dict[tuple[str, ...], Columns | None] = {}
        self._unasked: list[str] = []  # where rows without a query stand

    def read(self, split: str, rows: Iterable[Row]) -> None:
        """Add the rows of one split."""
        judged = self._qrels.setdefault(split, {})
        for where, row in rows:
            names = tuple(row)
            if unasked(names):
                self._add_unasked(_listed(row[names[0]]), where)
                continue
            if names not in self._columns:
                self._columns[names] = understand(names, where, self._faults)
            if (columns := self._columns[names]) is not None:
                self._add(row, columns, judged, where)

    def collection(self, name: str) -> Collection:
        """Return everything read; negatives that are also positives of their query are dropped with a warning."""
        if self._unasked:
            what = f"{len(self._unasked):,} rows have a passage and no query: they are searched, and nobody asks for them"
            self._faults.warn(
                "no-query",
                self._unasked[0],
                what,
                "Nothing, where that is meant; else write the query.",
            )
        positive = {
            (q, p)
            for split in self._qrels.values()
            for q, j in split.items()
            for p, grade in j.items()
            if grade > 0
        }
        negatives: dict[str, list[str]] = {}
        for query, passages in self._negatives.items():
            for passage, where in passages.items():
                if (query, passage) not in positive:
                    negatives.setdefault(query, []).append(passage)
                    continue
                what = f"a negative of query {query} is also its positive ({passage}); it is not used as a negative"
                self._faults.warn("negative-is-positive", where, what, "Delete one of the two.")
        return Collection(
            name,
            passages={
                identifier: Passage(identifier, text) for text, identifier in self._passages.items()
            },
            queries={identifier: text for text, identifier in self._queries.items()},
            qrels={split: judged for split, judged in self._qrels.items() if judged},
            negatives=negatives,
            positive_queries={passage: list(texts) for passage, texts in self._stars.items()},
        )

    def _add(self, row: dict[str, Any], columns: Columns, judged: Judgements, where: str) -> None:
        query_text = row[columns.query]
        positives = _listed(row[columns.positive])
        if not positives:
            self._faults.error(
                "no-positive",
                where,
                "the row has no positive passage",
                "Add one or delete the row.",
            )
        if (
            positives
            and query_text in (None, "")
            and not any(_listed(row[name]) for name in columns.negatives)
        ):
            self._add_unasked(positives, where)
            return
        fine = [
            text for text in positives if usable(text, "the positive passage", where, self._faults)
        ]
        if not usable(query_text, "the query", where, self._faults):
            return
        query = _number(self._queries, query_text, "q")
        grade = grade_of(row[columns.grade], where, self._faults) if columns.grade else 1
        for text in fine:
            if grade is not None:
                add_judgement(
                    judged, query, _number(self._passages, text, "p"), grade, where, self._faults
                )
        self._add_negatives(row, columns, query, where)

    def _add_unasked(self, positives: list[Any], where: str) -> None:
        if not positives:
            self._faults.error(
                "no-positive", where, "the row holds no passage", "Write one or delete the row."
            )
        for text in positives:
            if usable(text, "the passage", where, self._faults):
                _number(self._passages, text, "p")
        self._unasked.append(where)

    def _add_negatives(self, row: dict[str, Any], columns: Columns, query: str, where: str) -> None:
        negatives = [text for name in columns.negatives for text in _listed(row[name])]
        asked = _listed(row[columns.negative_queries]) if columns.negative_queries else []
        if asked and len(asked) != len(negatives):
            what = (
                f"{len(negatives)} negatives but {len(asked)} entries in {columns.negative_queries}"
            )
            self._faults.error(
                "misaligned",
                where,
                what,
                'Write one entry for each negative, "" where there is none.',
            )
            return
        for number, text in enumerate(negatives):
            if text is None or text == "":
                cure = "Delete it; a query without negatives needs an empty list."
                self._faults.warn("empty-negative", where, "a negative is empty and left out", cure)
            elif usable(text, "the negative passage", where, self._faults):
                passage = _number(self._passages, text, "p")
                self._negatives.setdefault(query, {}).setdefault(passage, where)
                self._add_stars(passage, _listed(asked[number]) if asked else [], where)

    def _add_stars(self, passage: str, texts: list[Any], where: str) -> None:
        for text in texts:
            if text and usable(text, "the negative's query", where, self._faults):
                self._stars.setdefault(passage, {}).setdefault(text)


def _listed(value: object) -> list[Any]:
    """Return a cell as a list: nothing and the empty string are no text, anything else alone is a list of one."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _number(known: dict[str, str], text: str, letter: str) -> str:
    """Return the id of a text, a new one if it was not seen before."""
    return known.setdefault(text, f"{letter}{len(known) + 1:06d}")
