"""Real test queries for documents that come without any: a table of queries and of what answers each."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from rich.markup import escape

from whet.data.columns import Columns, understand
from whet.data.faults import Faults
from whet.data.files import SUFFIXES, table_rows
from whet.data.lines import usable
from whet.data.split import same_text
from whet.errors import ConfigError, DataError
from whet.progress import say
from whet.records import Collection, Judgements

PREFIX = "asked-"


def with_test_queries(collection: Collection, path: Path) -> Collection:
    """The collection with the table's queries as its test split.

    A row's positive is a passage's id, a document's path (all its passages answer, then), or words that stand in the
    passages that answer; a list of these does as well. Raises ConfigError when there is no such table, DataError with
    every row whose query or answer cannot be used.
    """
    if not path.is_file() or path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: no such table; give test queries as {', '.join(SUFFIXES)}, columns query, positive")
    faults, places = Faults(), _Places(collection)
    ids: dict[str, str] = {}
    queries: dict[str, str] = {}
    judged: Judgements = {}
    columns: dict[tuple[str, ...], Columns | None] = {}
    for where, row in table_rows(path, faults):
        if (names := tuple(row)) not in columns:
            columns[names] = understand(names, where, faults)
        if (known := columns[names]) is None:
            continue
        text, answers = row[known.query], row[known.positive]
        if not usable(text, "the query", where, faults):
            continue
        query = ids.setdefault(same_text(text), f"{PREFIX}{len(ids) + 1:06}")
        queries.setdefault(query, text)
        for answer in answers if isinstance(answers, list | tuple) else [answers]:
            if found := places.of(str(answer or "")):
                judged.setdefault(query, {}).update(dict.fromkeys(found, 1))
            else:
                what = f"nothing in {collection.name} is called, or holds, {str(answer)[:60]!r}"
                cure = "Give a passage's id, a document's path, or words that stand in one passage as they are."
                faults.error("unknown-answer", where, what, cure)
    if any(fault.level == "error" for fault in faults):
        raise DataError(faults)
    say(f"{escape(str(path))}: {len(judged):,} real test queries")
    return replace(
        collection,
        queries={**collection.queries, **queries},
        qrels={**collection.qrels, "test": judged},
    )


class _Places:
    """Finds passages by id, by document, or by words in them."""

    def __init__(self, collection: Collection) -> None:
        self._passages = collection.passages
        self._documents: dict[str, list[str]] = {}
        for passage, document in collection.documents.items():
            self._documents.setdefault(document, []).append(passage)
        self._contents: Mapping[str, str] = {p.id: same_text(p.content) for p in collection.passages.values()}

    def of(self, answer: str) -> Iterable[str]:
        if answer in self._passages:
            return [answer]
        if answer in self._documents:
            return self._documents[answer]
        words = same_text(answer)
        return [passage for passage, content in self._contents.items() if words and words in content]
