"""Real test queries for documents that come without any: a table of queries and of what answers each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.markup import escape

from whet.data.columns import Columns, understand
from whet.data.faults import Faults
from whet.data.files import SUFFIXES, table_rows
from whet.data.judgements import grade_of
from whet.data.lines import usable
from whet.data.split import same_text
from whet.errors import ConfigError, raise_errors
from whet.progress import say
from whet.records import Collection, Judgements

PREFIX = "asked-"
UNSPACED = "\u0e00"  # the first character of Thai
MANY = 5  # passages that an answer, given by its words, may stand in before that is warned of


def with_test_queries(collection: Collection, path: Path) -> Collection:
    """The collection with the table's queries as its test split.

    A row's positive is a passage's id, a document's path (all its passages answer, then), or whole words that stand in
    the passages that answer; a list of these does as well. A grade, where there is one, counts.

    Raises ConfigError when there is no such table, DataError with every row whose query or answer cannot be used.
    """
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path}: no such table; give test queries as {', '.join(SUFFIXES)}, columns query, positive"
        )
    faults, places = Faults(), _Places(collection)
    ids: dict[str, str] = {}
    queries: dict[str, str] = {}
    judged: Judgements = {}
    columns: dict[tuple[str, ...], Columns | None] = {}
    for where, row in table_rows(path, faults):
        if (names := tuple(row)) not in columns:
            columns[names] = understand(names, where, faults)
        if (known := columns[names]) is None or not usable(
            row[known.query], "the query", where, faults
        ):
            continue
        query = ids.setdefault(same_text(row[known.query]), f"{PREFIX}{len(ids) + 1:06}")
        queries.setdefault(query, row[known.query])
        grade = grade_of(row[known.grade], where, faults) if known.grade else 1
        answers = row[known.positive]
        for answer in answers if isinstance(answers, list | tuple) else [answers]:
            for passage in places.of(str(answer or ""), where, faults):
                judged.setdefault(query, {})[passage] = grade or 0
    raise_errors(faults)
    for fault in faults:
        say(f"[yellow]warning[/yellow] {escape(str(fault))}")
    say(f"{escape(str(path))}: {len(judged):,} real test queries")
    return replace(
        collection,
        queries={**collection.queries, **queries},
        qrels={**collection.qrels, "test": judged},
    )


class _Places:
    """Finds passages by id, by document, or by words in them."""

    def __init__(self, collection: Collection) -> None:
        self._name, self._passages = collection.name, collection.passages
        self._documents: dict[str, list[str]] = {}
        for passage, document in collection.documents.items():
            self._documents.setdefault(document, []).append(passage)
        self._contents: Mapping[str, str] = {
            p.id: same_text(p.content) for p in collection.passages.values()
        }

    def of(self, answer: str, where: str, faults: Faults) -> Sequence[str]:
        """Ids of the passages; a fault where there is none, a warning where words stand in many."""
        if answer in self._passages:
            return [answer]
        if answer in self._documents:
            return self._documents[answer]
        words = _whole(same_text(answer))
        found = [passage for passage, content in self._contents.items() if words.search(content)]
        if not found or not answer.strip():
            what = f"nothing in {self._name} is called, or holds, {answer[:60]!r}"
            cure = "Give a passage's id, a document's path, or words that stand in one passage as they are."
            faults.error("unknown-answer", where, what, cure)
            return []
        if len(found) > MANY:
            what = f"{answer[:60]!r} stands in {len(found)} passages, which all count as answers"
            faults.warn("many-answers", where, what, "Give more of the words, or the passage's id.")
        return found


def _whole(words: str) -> re.Pattern[str]:
    """The words as they are, not inside of others; scripts from Thai on in Unicode's order have no spaces to tell.

    >>> bool(_whole("yes").search("close your eyes")), bool(_whole("大仏").search("奈良の大仏です"))
    (False, True)
    """
    left = r"(?<!\w)" if words[:1].isalnum() and words[0] < UNSPACED else ""
    right = r"(?!\w)" if words[-1:].isalnum() and words[-1] < UNSPACED else ""
    return re.compile(f"{left}{re.escape(words)}{right}")
