"""Reads a BEIR folder (arXiv 2104.08663): corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, in BEIR's or TREC's form."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rich.markup import escape

from whet.data.faults import Faults
from whet.data.judgements import SPLIT_ORDER, SPLITS, add_judgement, grade_of
from whet.data.lines import json_rows, text_lines, usable
from whet.progress import say
from whet.records import Collection, Judgements, Passage

Rows: TypeAlias = Iterator[tuple[str, Mapping[str, Any]]]
"""Where a row stands, and its columns."""

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


def is_beir(folder: Path) -> bool:
    """Whether a folder holds at least one of the parts of a BEIR folder."""
    return any((folder / part).exists() for part in ("corpus.jsonl", "queries.jsonl", "qrels"))


def is_corpus(folder: Path) -> bool:
    """Whether a folder holds a BEIR corpus and neither queries nor judgements."""
    others = ("queries.jsonl", "qrels")
    return (folder / "corpus.jsonl").exists() and not any(
        (folder / part).exists() for part in others
    )


def read_beir(folder: Path, faults: Faults) -> Collection:
    """Read a BEIR folder as far as it can be read; what is wrong with it goes to `faults`.

    One with a corpus and neither queries nor judgements is a corpus to write queries for.
    """
    passages = _passages(_lines(folder / "corpus.jsonl", faults), faults)
    if passages and is_corpus(folder):
        return Collection(folder.resolve().name, passages, {}, {})
    queries = _queries(_lines(folder / "queries.jsonl", faults), faults)
    qrels: dict[str, Judgements] = {}
    for split, path in _qrels_files(folder / "qrels", faults):
        _judge(path, qrels.setdefault(split, {}), queries, passages, faults)
    return Collection(folder.resolve().name, passages, queries, qrels)


def of_rows(
    name: str, corpus: Rows, queries: Rows, qrels: Mapping[str, Rows], faults: Faults
) -> Collection:
    """The same from rows (where, columns); those of `qrels`, by split, have query-id, corpus-id and maybe score."""
    passages, asked = _passages(corpus, faults), _queries(queries, faults)
    judged: dict[str, Judgements] = {}
    for split, rows in qrels.items():
        for where, row in rows:
            query, passage = str(row.get("query-id")), str(row.get("corpus-id"))
            _expect_known("query", query, asked, passages, where, faults)
            _expect_known("passage", passage, passages, asked, where, faults)
            if (grade := grade_of(row.get("score", 1), where, faults)) is not None:
                add_judgement(judged.setdefault(split, {}), query, passage, grade, where, faults)
    return Collection(name, passages, asked, judged)


def _lines(path: Path, faults: Faults) -> Rows:
    if not path.is_file():
        faults.error(
            "missing-file",
            path,
            "a BEIR folder needs this file",
            'Write {"_id": …, "text": …} a line into it.',
        )
        return
    yield from json_rows(path, faults)


def _passages(rows: Rows, faults: Faults) -> dict[str, Passage]:
    passages: dict[str, Passage] = {}
    for where, identifier, title, text in _texts(rows, "passage", faults):
        passage = Passage(identifier, text, title)
        if _is_new(identifier, passage, passages.get(identifier), where, faults):
            passages[identifier] = passage
    return passages


def _queries(rows: Rows, faults: Faults) -> dict[str, str]:
    queries: dict[str, str] = {}
    for where, identifier, _, text in _texts(rows, "query", faults):
        if _is_new(identifier, text, queries.get(identifier), where, faults):
            queries[identifier] = text
    return queries


def _texts(rows: Rows, what: str, faults: Faults) -> Iterator[tuple[str, str, str, str]]:
    """Yield (file:line, id, title, text). A broken text is a fault, but its id still counts as known."""
    for where, row in rows:
        identifier, title, text = row.get("_id"), row.get("title") or "", row.get("text")
        if not isinstance(identifier, str | int) or not str(identifier).strip():
            keys = ", ".join(row) or "no keys"
            faults.error(
                "missing-id",
                where,
                f"the {what} has no _id (found: {keys})",
                "Give every line an _id.",
            )
            continue
        name = f"{what} {str(identifier)!r}"
        if not isinstance(title, str):
            faults.error(
                "bad-text",
                where,
                f"the title of {name} is not a string",
                "Write the title in quotes.",
            )
            title = ""
        # Some BEIR sets hold passages that are a title and nothing else: that is text enough.
        usable(title + text if isinstance(text, str) else text, name, where, faults)
        yield where, str(identifier), title, str(text)


def _is_new(identifier: str, value: object, known: object, where: str, faults: Faults) -> bool:
    if known is None:
        return True
    if known == value:
        faults.warn(
            "duplicate-id",
            where,
            f"id {identifier!r} comes again with the same text",
            "Delete the line.",
        )
    else:
        cure = "Give one of the two another id."
        faults.error(
            "duplicate-id", where, f"id {identifier!r} comes again with a different text", cure
        )
    return False


def _qrels_files(folder: Path, faults: Faults) -> list[tuple[str, Path]]:
    """(split, file) of every split, in the order train, dev, test."""
    files = sorted(folder.glob("*.tsv")) if folder.is_dir() else []
    splits = [(SPLITS[path.stem], path) for path in files if path.stem in SPLITS]
    if not splits:
        found = f"found only {', '.join(path.name for path in files)}" if files else "found none"
        cure = "Write qrels/train.tsv with lines of query id, passage id and score, tabs between."
        faults.error("missing-qrels", folder, f"a BEIR folder needs qrels/train.tsv; {found}", cure)
    elif others := [path.name for path in files if path.stem not in SPLITS]:
        say(escape(f"{folder}: {', '.join(others)} ignored, not named train, dev or test"))
    return sorted(splits, key=lambda pair: SPLIT_ORDER.index(pair[0]))


def _judge(
    path: Path,
    judged: Judgements,
    queries: Mapping[str, str],
    passages: Mapping[str, Passage],
    faults: Faults,
) -> None:
    """Add the judgements of one file to `judged`."""
    empty = True
    for number, line in text_lines(path, faults):
        cells = [cell.strip() for cell in (line.split("\t") if "\t" in line else line.split())]
        if not any(cells) or (
            number == 1 and len(HEADINGS.intersection(cell.lower() for cell in cells)) >= 2
        ):
            continue
        empty = False
        where = f"{path}:{number}"
        if len(cells) not in (3, 4):
            cure = "Write query id, passage id, score (BEIR) or query id, 0, passage id, score (TREC), tabs between."
            faults.error("wrong-columns", where, f"expected 3 or 4 columns, got {len(cells)}", cure)
            continue
        query, passage = cells[0], cells[-2]
        _expect_known("query", query, queries, passages, where, faults)
        _expect_known("passage", passage, passages, queries, where, faults)
        if (grade := grade_of(cells[-1], where, faults)) is not None:
            add_judgement(judged, query, passage, grade, where, faults)
    if empty:
        faults.error("empty-file", path, "the file holds no judgements", "Fill it or delete it.")


def _expect_known(
    what: str,
    identifier: str,
    known: Mapping[str, object],
    others: Mapping[str, object],
    where: str,
    faults: Faults,
) -> None:
    """Fault an id that nothing lists; when the whole list is missing, that alone is the fault."""
    if not known or identifier in known:
        return
    note, cure = "", "Add it or delete the line."
    if identifier in others:
        note = f" (it is a {'passage' if what == 'query' else 'query'})"
        cure = "Put the query id first and the passage id before the score."
    faults.error(f"unknown-{what}", where, f"there is no {what} with id {identifier!r}{note}", cure)
