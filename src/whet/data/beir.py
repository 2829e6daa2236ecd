"""Reads a BEIR folder (arXiv 2104.08663): corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv.

The judgements may have BEIR's columns or TREC's.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from whet.data.faults import Faults
from whet.data.judgements import SPLITS, add_judgement, grade_of, split_rank
from whet.data.lines import Rows, is_usable_text, json_rows, text_lines
from whet.records import Collection, Judgements, Passage

logger = logging.getLogger(__name__)

HEADINGS = {
    "query-id",
    "query_id",
    "queryid",
    "qid",
    "query",
    "corpus-id",
    "corpus_id",
    "docid",
    "pid",
    "score",
}
"""Column names that tell the header of a qrels file from a judgement."""

BEIR_PARTS = ("corpus.jsonl", "queries.jsonl", "qrels")


def is_beir(folder: Path) -> bool:
    """Whether a folder holds at least one of the parts of a BEIR folder."""
    return any((folder / name).exists() for name in BEIR_PARTS)


def is_corpus(folder: Path) -> bool:
    """Whether a folder holds a BEIR corpus and neither queries nor judgements."""
    existing = [name for name in BEIR_PARTS if (folder / name).exists()]
    return existing == ["corpus.jsonl"]


def read_beir(folder: Path, faults: Faults) -> Collection:
    """Read a BEIR folder as far as it can be read; what is wrong with it goes to `faults`.

    A folder with neither queries nor judgements is a corpus to generate queries for.
    """
    passages = _passages(_file_rows(folder / "corpus.jsonl", faults), faults)
    name = folder.resolve().name
    if passages and is_corpus(folder):
        return Collection(name, passages, {}, {})
    queries = _queries(_file_rows(folder / "queries.jsonl", faults), faults)
    known = _KnownIds(queries, passages, faults)
    qrels: dict[str, Judgements] = {}
    for split, path in _qrels_files(folder / "qrels", faults):
        judged = qrels.setdefault(split, {})
        _read_qrels(path, judged, known, faults)
    return Collection(name, passages, queries, qrels)


def collection_of_rows(
    name: str,
    corpus: Rows,
    queries: Rows,
    qrels: Mapping[str, Rows],
    faults: Faults,
) -> Collection:
    """Return the collection of rows in BEIR's form that come from elsewhere than a folder.

    The rows of `qrels`, by split, have the columns query-id, corpus-id and perhaps score.
    """
    passages = _passages(corpus, faults)
    query_texts = _queries(queries, faults)
    known = _KnownIds(query_texts, passages, faults)
    judgements: dict[str, Judgements] = {}
    for split, rows in qrels.items():
        for where, row in rows:
            query = str(row.get("query-id"))
            passage = str(row.get("corpus-id"))
            known.expect_query(query, where)
            known.expect_passage(passage, where)
            grade = grade_of(row.get("score", 1), where, faults)
            if grade is not None:
                judged = judgements.setdefault(split, {})
                add_judgement(judged, query, passage, grade, where, faults)
    return Collection(name, passages, query_texts, judgements)


def _file_rows(path: Path, faults: Faults) -> Rows:
    if path.is_file():
        yield from json_rows(path, faults)
    else:
        faults.error(
            "missing-file",
            path,
            "a BEIR folder needs this file",
            'Write {"_id": …, "text": …} a line into it.',
        )


def _passages(rows: Rows, faults: Faults) -> dict[str, Passage]:
    passages: dict[str, Passage] = {}
    for entry in _entries(rows, "passage", faults):
        passage = Passage(entry.id, entry.text, entry.title)
        earlier = passages.setdefault(entry.id, passage)
        if earlier is not passage:
            _add_duplicate_id(entry, earlier == passage, faults)
    return passages


def _queries(rows: Rows, faults: Faults) -> dict[str, str]:
    queries: dict[str, str] = {}
    for entry in _entries(rows, "query", faults):
        if entry.id in queries:
            _add_duplicate_id(entry, queries[entry.id] == entry.text, faults)
        else:
            queries[entry.id] = entry.text
    return queries


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of corpus.jsonl or queries.jsonl; `where` is its place."""

    where: str
    id: str
    title: str
    text: str


def _entries(rows: Rows, kind: str, faults: Faults) -> Iterator[_Entry]:
    """Yield the entries that have an id. A broken text is a fault, but its id counts as known."""
    for where, row in rows:
        identifier = row.get("_id")
        title = row.get("title") or ""
        text = row.get("text")
        if not isinstance(identifier, str | int) or not str(identifier).strip():
            keys = ", ".join(row) or "no keys"
            faults.error(
                "missing-id",
                where,
                f"the {kind} has no _id (found: {keys})",
                "Give every line an _id.",
            )
            continue
        owner = f"{kind} {str(identifier)!r}"
        if not isinstance(title, str):  # reading goes on, to name all faults at once
            faults.error(
                "bad-text",
                where,
                f"the title of {owner} is not a string",
                "Write the title in quotes.",
            )
            title = ""
        # Some BEIR sets hold passages that are a title and nothing else: that is text enough.
        content = title + text if isinstance(text, str) else text
        is_usable_text(content, owner, where, faults)
        yield _Entry(where, str(identifier), title, str(text))


def _add_duplicate_id(entry: _Entry, is_same_text: bool, faults: Faults) -> None:
    again = f"id {entry.id!r} comes again"
    if is_same_text:
        faults.warn(
            "duplicate-id",
            entry.where,
            f"{again} with the same text",
            "Delete the line.",
        )
    else:
        faults.error(
            "duplicate-id",
            entry.where,
            f"{again} with a different text",
            "Give one of the two another id.",
        )


def _qrels_files(folder: Path, faults: Faults) -> list[tuple[str, Path]]:
    """(split, file) of every split, in the order train, dev, test."""
    files = sorted(folder.glob("*.tsv")) if folder.is_dir() else []
    split_files = [path for path in files if path.stem in SPLITS]
    other_names = [path.name for path in files if path.stem not in SPLITS]
    if not split_files:
        listed = f"found only {', '.join(other_names)}" if other_names else "found none"
        faults.error(
            "missing-qrels",
            folder,
            f"a BEIR folder needs qrels/train.tsv; {listed}",
            "Write qrels/train.tsv with lines of query id, passage id and score, tabs between.",
        )
    elif other_names:
        ignored = ", ".join(other_names)
        logger.info(f"{folder}: {ignored} ignored, not named train, dev or test")
    split_files.sort(key=lambda path: split_rank(path.stem))
    return [(SPLITS[path.stem], path) for path in split_files]


def _read_qrels(
    path: Path,
    judged: Judgements,
    known: "_KnownIds",
    faults: Faults,
) -> None:
    """Add the judgements of one file to `judged`."""
    is_empty = True
    for number, line in text_lines(path, faults):
        # BEIR separates by tabs, TREC by any white space.
        parts = line.split("\t") if "\t" in line else line.split()
        cells = [cell.strip() for cell in parts]
        is_blank = not any(cells)
        if is_blank or (number == 1 and _is_header(cells)):
            continue
        is_empty = False
        where = f"{path}:{number}"
        if len(cells) not in (3, 4):
            cure = (
                "Write query id, passage id, score (BEIR) "
                "or query id, 0, passage id, score (TREC), tabs between."
            )
            faults.error(
                "wrong-columns",
                where,
                f"expected 3 or 4 columns, got {len(cells)}",
                cure,
            )
            continue
        # Query, passage, score; TREC has one more column behind the query, which nobody uses.
        query = cells[0]
        passage = cells[-2]
        known.expect_query(query, where)
        known.expect_passage(passage, where)
        grade = grade_of(cells[-1], where, faults)
        if grade is not None:
            add_judgement(judged, query, passage, grade, where, faults)
    if is_empty:
        faults.error(
            "empty-file",
            path,
            "the file holds no judgements",
            "Fill it or delete it.",
        )


def _is_header(cells: list[str]) -> bool:
    """Whether the first line names columns. One such word may be an id; two are a header."""
    names = {cell.lower() for cell in cells}
    return len(HEADINGS & names) >= 2


@dataclass(frozen=True, slots=True)
class _KnownIds:
    """The ids that judgements may name; an id that nothing lists becomes a fault."""

    queries: Mapping[str, str]
    passages: Mapping[str, Passage]
    faults: Faults

    def expect_query(self, query: str, where: str) -> None:
        """Add a fault if there are queries and this is none of them."""
        # Without any queries, the missing list is the fault, not each line that needs it.
        if self.queries and query not in self.queries:
            other = "passage" if query in self.passages else ""
            self._add_unknown("query", query, other, where)

    def expect_passage(self, passage: str, where: str) -> None:
        """Add a fault if there are passages and this is none of them."""
        if self.passages and passage not in self.passages:
            other = "query" if passage in self.queries else ""
            self._add_unknown("passage", passage, other, where)

    def _add_unknown(
        self,
        kind: str,
        identifier: str,
        other: str,
        where: str,
    ) -> None:
        message = f"there is no {kind} with id {identifier!r}"
        cure = "Add it or delete the line."
        if other:
            message += f" (it is a {other})"
            cure = "Put the query id first and the passage id before the score."
        self.faults.error(
            f"unknown-{kind}",
            where,
            message,
            cure,
        )
