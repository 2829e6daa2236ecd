"""What the judgements say about the training queries, as keys that whole tables are tested against.

A key is one number for a pair of a query and a passage:

    key = query row · number of passages + passage row

Query rows follow `collection.positives("train")`, passage rows follow `collection.passages`. With 4
passages, passage 3 has the key 3 for query 0 and 11 for query 2. `np.isin` then tests a table of
candidates at once.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64

from whet.data.split import same_text
from whet.mine.candidates import Mask, PassageRows
from whet.records import Collection

Keys: TypeAlias = Int64[np.ndarray, " pair"]
KeyTable: TypeAlias = Int64[np.ndarray, "query candidate"]
OrderedIds: TypeAlias = dict[str, None]
"""Passage ids, each once and in order."""


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """Pairs of a training query and a passage that someone judged, as keys.

    `positives` are the training positives. `elsewhere` are positives in another split, or of
    another query with the same text. `texts` are both, each passage replaced by the first one with
    the same text, whose row `first_row_of_text` gives for every passage row. `irrelevant` are the
    pairs that were judged not relevant.
    """

    positives: Keys
    elsewhere: Keys
    texts: Keys
    irrelevant: Keys
    first_row_of_text: Int64[np.ndarray, " doc"]

    def keys(self, passage_rows: PassageRows) -> KeyTable:
        """Turn a table of passage rows into keys.

        With 4 passages:

            passage rows   [[3 0]      keys   [[3 0]
                            [1 2]]             [5 6]]
        """
        passage_count = len(self.first_row_of_text)
        first_keys = np.arange(len(passage_rows)) * passage_count
        keys: KeyTable = first_keys[:, None] + passage_rows
        return keys

    def is_known_positive(self, passage_rows: PassageRows) -> Mask:
        """Whether each passage is a positive of its query by any judgement, or a copy of one."""
        text_rows = self.first_row_of_text[passage_rows]
        return np.isin(self.keys(text_rows), self.texts)

    def is_irrelevant(self, passage_rows: PassageRows) -> Mask:
        """Whether each passage was judged not relevant to its query."""
        return np.isin(self.keys(passage_rows), self.irrelevant)

    def positive_rows(self) -> tuple[Keys, Keys]:
        """Query rows and passage rows of the training positives."""
        passage_count = len(self.first_row_of_text)
        return self.positives // passage_count, self.positives % passage_count


def judged_pairs(collection: Collection) -> JudgedPairs:
    """Collect what the judgements of every split say about the training queries."""
    row_of = {passage_id: row for row, passage_id in enumerate(collection.passages)}
    first_row_of_text = _first_rows_of_texts(collection)
    positives_by_text = _positives_by_query_text(collection)
    train_positives = collection.positives("train")
    train_judgements = collection.qrels.get("train", {})
    positives: list[int] = []
    elsewhere: list[int] = []
    texts: list[int] = []
    irrelevant: list[int] = []
    first_key = 0  # of the query's row
    for query_id, passage_ids in train_positives.items():
        query_text = same_text(collection.queries[query_id])
        train_ids = set(passage_ids)
        positives += [first_key + row_of[passage_id] for passage_id in passage_ids]
        for passage_id in positives_by_text[query_text]:
            row = row_of[passage_id]
            texts.append(first_key + first_row_of_text[row])
            if passage_id not in train_ids:
                elsewhere.append(first_key + row)
        for passage_id, grade in train_judgements[query_id].items():
            if grade <= 0:
                irrelevant.append(first_key + row_of[passage_id])
        first_key += len(row_of)
    return JudgedPairs(
        positives=_as_array(positives),
        elsewhere=_as_array(elsewhere),
        texts=_as_array(texts),
        irrelevant=_as_array(irrelevant),
        first_row_of_text=_as_array(first_row_of_text),
    )


def known_positives(collection: Collection) -> dict[str, frozenset[str]]:
    """Query id of any split → ids of its known positives.

    They are the positives, by any split, of every query with the same text, and all passages with
    the text of one of these.
    """
    text_of: dict[str, str] = {}
    copies: dict[str, list[str]] = {}  # passage text → ids
    for passage in collection.passages.values():
        text = same_text(passage.content)
        text_of[passage.id] = text
        copies.setdefault(text, []).append(passage.id)

    known_by_text: dict[str, frozenset[str]] = {}
    positives_by_text = _positives_by_query_text(collection)
    for query_text, passage_ids in positives_by_text.items():
        known: set[str] = set()
        for passage_id in passage_ids:
            passage_text = text_of[passage_id]
            known.update(copies[passage_text])
        known_by_text[query_text] = frozenset(known)

    known_by_query = {}
    for query_id, query in collection.queries.items():
        query_text = same_text(query)
        known_by_query[query_id] = known_by_text.get(query_text, frozenset())
    return known_by_query


def _first_rows_of_texts(collection: Collection) -> list[int]:
    """For every passage row, the first row with the same text: texts a b a give 0 1 0."""
    first_rows: list[int] = []
    row_of_text: dict[str, int] = {}
    for row, passage in enumerate(collection.passages.values()):
        text = same_text(passage.content)
        first_rows.append(row_of_text.setdefault(text, row))
    return first_rows


def _positives_by_query_text(collection: Collection) -> dict[str, OrderedIds]:
    """Query text → ids of its positives in any split."""
    positives_by_text: dict[str, OrderedIds] = {}
    for split in collection.qrels:
        positives = collection.positives(split)
        for query_id, passage_ids in positives.items():
            query_text = same_text(collection.queries[query_id])
            known = positives_by_text.setdefault(query_text, {})
            known.update(dict.fromkeys(passage_ids))
    return positives_by_text


def _as_array(numbers: list[int]) -> Keys:
    return np.array(numbers, dtype=np.int64)
