"""What the judgements already say about training queries, as keys that tables of candidates can be tested against.

A key is `query row · number of passages + passage row`; query rows follow `collection.positives("train")`, passage rows
follow `collection.passages`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from whet.data.split import same_text
from whet.records import Collection


@dataclass(frozen=True, slots=True)
class Judged:
    """Judged pairs of training queries.

    `positives` are the training positives; `elsewhere` are positives in another split, or of another query with the
    same text; `copies` are passages with the text of one of these; `refuted` were judged not relevant.
    `text_of` gives for every passage row the first passage row with the same text.
    """

    positives: Int64[np.ndarray, " pair"]
    elsewhere: Int64[np.ndarray, " pair"]
    copies: Int64[np.ndarray, " pair"]
    refuted: Int64[np.ndarray, " pair"]
    text_of: Int64[np.ndarray, " doc"]

    def keys(
        self, passages: Int64[np.ndarray, "query candidate"]
    ) -> Int64[np.ndarray, "query candidate"]:
        """Turn a table of passage rows, one row per training query, into keys."""
        keys: Int64[np.ndarray, "query candidate"] = (
            np.arange(len(passages))[:, None] * len(self.text_of) + passages
        )
        return keys

    def known_positive(
        self, passages: Int64[np.ndarray, "query candidate"]
    ) -> Bool[np.ndarray, "query candidate"]:
        """Tell which passages answer their query by any judgement, or have the text of one that does."""
        return np.isin(self.keys(self.text_of[passages]), self.copies)

    @property
    def positive_pairs(self) -> tuple[Int64[np.ndarray, " pair"], Int64[np.ndarray, " pair"]]:
        """Query rows and passage rows of the training positives."""
        query_rows, passage_rows = np.divmod(self.positives, len(self.text_of))
        return query_rows, passage_rows


def judged(collection: Collection) -> Judged:
    """Gather what every split's judgements say about the training queries."""
    row_of = {passage: row for row, passage in enumerate(collection.passages)}
    first: dict[str, int] = {}
    text_of = [
        first.setdefault(same_text(p.content), row)
        for row, p in enumerate(collection.passages.values())
    ]
    answers = _positives_by_text(collection)
    positives, elsewhere, copies, refuted = [], [], [], []
    for at, (query, own) in enumerate(collection.positives("train").items()):
        base = at * len(text_of)
        answering = answers[same_text(collection.queries[query])]
        positives += [base + row_of[passage] for passage in own]
        elsewhere += [base + row_of[passage] for passage in answering if passage not in set(own)]
        copies += [base + text_of[row_of[passage]] for passage in answering]
        refuted += [
            base + row_of[p] for p, grade in collection.qrels["train"][query].items() if grade <= 0
        ]
    return Judged(_keys(positives), _keys(elsewhere), _keys(copies), _keys(refuted), _keys(text_of))


def known_positives(collection: Collection) -> dict[str, frozenset[str]]:
    """Every query of any split → the passages known to answer it: by any split, by its text, or by their text."""
    text_of = {passage.id: same_text(passage.content) for passage in collection.passages.values()}
    copies: dict[str, list[str]] = {}
    for passage, text in text_of.items():
        copies.setdefault(text, []).append(passage)
    answers = {
        text: frozenset(copy for passage in found for copy in copies[text_of[passage]])
        for text, found in _positives_by_text(collection).items()
    }
    return {
        query: answers.get(same_text(text), frozenset())
        for query, text in collection.queries.items()
    }


def _positives_by_text(collection: Collection) -> dict[str, dict[str, None]]:
    """Query text → its positive passages in any split, as an ordered set."""
    found: dict[str, dict[str, None]] = {}
    for split in collection.qrels:
        for query, passages in collection.positives(split).items():
            found.setdefault(same_text(collection.queries[query]), {}).update(
                dict.fromkeys(passages)
            )
    return found


def _keys(values: Iterable[int]) -> Int64[np.ndarray, " pair"]:
    return np.array(list(values), dtype=np.int64)
