"""Real test queries for documents that have none: a table of queries and of what answers each."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whet.data.columns import ColumnFinder
from whet.data.faults import Faults
from whet.data.files import TABLE_SUFFIXES, table_rows
from whet.data.judgements import grade_of
from whet.data.lines import is_usable_text
from whet.data.split import same_text
from whet.data.table import is_table
from whet.errors import ConfigError, raise_errors
from whet.records import Collection, Judgements

logger = logging.getLogger(__name__)

ID_PREFIX = "asked-"
FIRST_UNSPACED = "\u0e00"
"""The first character of Thai. Scripts from here on in Unicode's order have no spaces."""
MAX_UNREMARKED_PASSAGES = 5
"""An answer that stands in more passages than this is warned of."""


def with_test_queries(collection: Collection, path: Path) -> Collection:
    """The collection with the table's queries as its test split.

    A row's positive says what answers: a passage's id; a document's path, then all its passages
    answer; or words that stand in the answering passages. It may be a list of these. A grade
    column counts.

    Raises ConfigError when there is no such table, DataError with every row whose query or answer
    cannot be used.
    """
    if not is_table(path):
        suffixes = ", ".join(TABLE_SUFFIXES)
        raise ConfigError(
            f"{path}: no such table; give test queries as {suffixes}, columns query, positive"
        )
    faults = Faults()
    column_finder = ColumnFinder(faults)
    reader = _Reader(collection, faults)
    for where, row in table_rows(path, faults):
        columns = column_finder.find(tuple(row), where)
        if columns is None:
            continue
        query_text = row[columns.query]
        if is_usable_text(query_text, "the query", where, faults):
            grade: int | None = 1
            if columns.grade:
                grade = grade_of(row[columns.grade], where, faults)
            answers = row[columns.positive]
            reader.add(query_text, answers, grade or 0, where)
    raise_errors(faults)

    for fault in faults:
        logger.warning(str(fault))
    query_count = len(reader.judgements)
    logger.info(f"{path}: {query_count:,} real test queries")
    return replace(
        collection,
        queries={**collection.queries, **reader.queries},
        qrels={**collection.qrels, "test": reader.judgements},
    )


class _Reader:
    """Rows read so far: `queries` by id, and their `judgements`."""

    def __init__(self, collection: Collection, faults: Faults) -> None:
        self.queries: dict[str, str] = {}
        self.judgements: Judgements = {}
        self._finder = _PassageFinder(collection, faults)
        self._ids: dict[str, str] = {}  # text without case and spacing → query id

    def add(
        self,
        query_text: str,
        answers: object,
        grade: int,
        where: str,
    ) -> None:
        """Add one row: its query and each passage that `answers`, one or a list, stands for."""
        next_number = len(self._ids) + 1
        next_id = f"{ID_PREFIX}{next_number:06}"
        query = self._ids.setdefault(same_text(query_text), next_id)
        self.queries.setdefault(query, query_text)
        listed = answers if isinstance(answers, list | tuple) else [answers]
        for answer in listed:
            passages = self._finder.find(str(answer or ""), where)
            for passage in passages:
                judged = self.judgements.setdefault(query, {})
                judged[passage] = grade


class _PassageFinder:
    """Finds passages by id, by document, or by words in them."""

    def __init__(self, collection: Collection, faults: Faults) -> None:
        self._collection = collection
        self._faults = faults
        self._passages_of: dict[str, list[str]] = {}  # document → passage ids
        for passage, document in collection.documents.items():
            passages = self._passages_of.setdefault(document, [])
            passages.append(passage)
        self._contents: dict[str, str] = {}  # passage id → text without case and spacing
        for key, record in collection.passages.items():
            self._contents[key] = same_text(record.content)

    def find(self, answer: str, where: str) -> Sequence[str]:
        """Ids of the passages; a fault where there is none, a warning where words are in many."""
        # Ids come first: an id may also be a word of some passage.
        if answer in self._contents:
            return [answer]
        if answer in self._passages_of:
            return self._passages_of[answer]
        pattern = _whole_words(same_text(answer))
        matches = [key for key, content in self._contents.items() if pattern.search(content)]
        shown = repr(answer[:60])
        if not matches or not answer.strip():
            cure = (
                "Give a passage's id, a document's path, "
                "or words copied from the passage that answers."
            )
            self._faults.error(
                "unknown-answer",
                where,
                f"no id, document or text in {self._collection.name} matches {shown}",
                cure,
            )
            return []
        if len(matches) > MAX_UNREMARKED_PASSAGES:
            self._faults.warn(
                "many-answers",
                where,
                f"{shown} stands in {len(matches)} passages, which all count as answers",
                "Give more of the words, or the passage's id.",
            )
        return matches


def _whole_words(words: str) -> re.Pattern[str]:
    """A pattern for words that are not inside of others.

    Scripts without spaces have no word borders; there the words may stand anywhere.

    >>> bool(_whole_words("yes").search("close your eyes"))
    False
    >>> bool(_whole_words("大仏").search("奈良の大仏です"))
    True
    """
    pattern = re.escape(words)
    if _has_border(words[:1]):
        pattern = r"(?<!\w)" + pattern
    if _has_border(words[-1:]):
        pattern += r"(?!\w)"
    return re.compile(pattern)


def _has_border(character: str) -> bool:
    """Whether spaces part this letter or digit from the next word; "" has no border."""
    return character.isalnum() and character < FIRST_UNSPACED
