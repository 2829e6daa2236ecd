"""The table of candidates: what the searches found for each query, and the fate of each find."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int64

from whet.mine.config import MineConfig
from whet.records import Collection, NegativeSource, Vectors
from whet.search.bm25 import Bm25
from whet.search.dense import score_pairs, top_k

PassageRows: TypeAlias = Int64[np.ndarray, "query candidate"]
"""Rows of `collection.passages`; one line per training query."""
Scores: TypeAlias = Float32[np.ndarray, "query candidate"]
Mask: TypeAlias = Bool[np.ndarray, "query candidate"]
NO_PASSAGE = -1


class Fate(IntEnum):
    """What became of a cell of the table; the first reason that applies is the one that counts."""

    LEFT_OVER = 0  # good, and not needed
    TAKEN = 1
    EMPTY = 2  # padding: the search found nothing for this cell
    FOUND_TWICE = 3  # it also stands further left in the same row
    OUTSIDE_WINDOW = 4
    KNOWN_POSITIVE = 5
    POSITIVE_ELSEWHERE = 6  # in another split, or of another query with the same text
    SAME_TEXT_AS_POSITIVE = 7
    ABOVE_MAX_SCORE = 8
    LIKELY_FALSE_NEGATIVE = 9


@dataclass(slots=True)
class Candidates:
    """Candidates of every training query: one column per rank of each search.

    Columns of negatives that the data gives come first, then rank by rank those of the searches.
    `passages` holds passage rows. `scores` are inner products of the model's vectors, whichever
    search found the passage. `ranks` are 1-based. Mining changes `fates` and nothing else.
    """

    passages: PassageRows
    scores: Scores
    fates: Int8[np.ndarray, "query candidate"]
    ranks: Int64[np.ndarray, " candidate"]
    sources: tuple[NegativeSource, ...]

    @property
    def remaining(self) -> Mask:
        """The candidates without another fate so far."""
        remaining: Mask = self.fates == Fate.LEFT_OVER
        return remaining

    def from_source(self, source: NegativeSource) -> Bool[np.ndarray, " candidate"]:
        """Which columns one search filled."""
        return np.array([name == source for name in self.sources], dtype=bool)

    def assign(self, where: np.ndarray, fate: Fate) -> None:
        """Give a fate to the remaining candidates in `where`, a mask that broadcasts to the table.

        A candidate that already has another fate keeps it.
        """
        self.fates[where & self.remaining] = fate


def search(
    collection: Collection,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    config: MineConfig,
    rng: np.random.Generator,
) -> Candidates:
    """Search as the strategy says; a passage found twice stays where its rank is better.

    One query with strategy "mix" and depth 2; the data gives passage 7, ANCE finds 4 and 7, BM25
    finds 4 and 9:

        source     given   ance   bm25          ance          bm25
        rank         1      1      1             2             2
        passage      7      4      4             7             9
        fate                       FOUND_TWICE   FOUND_TWICE
    """
    tables: list[PassageRows] = []
    sources: list[NegativeSource] = []
    ranks: list[int] = []
    for source, passage_rows in _searches(collection, query_vectors, passage_vectors, config, rng):
        width = passage_rows.shape[1]
        tables.append(passage_rows)
        sources += [source] * width
        ranks += range(1, width + 1)

    def place(column: int) -> tuple[bool, int]:
        return sources[column] != "given", ranks[column]

    column_order = sorted(range(len(ranks)), key=place)
    found_rows = np.concatenate(tables, axis=1)[:, column_order]
    is_empty = found_rows == NO_PASSAGE
    passages = np.where(is_empty, 0, found_rows)  # any row, so that every cell can be looked up
    fates = np.where(is_empty, Fate.EMPTY, Fate.LEFT_OVER)
    candidates = Candidates(
        passages=passages,
        scores=_scores(query_vectors, passage_vectors, passages),
        fates=fates.astype(np.int8),
        ranks=np.array(ranks)[column_order],
        sources=tuple(sources[column] for column in column_order),
    )
    candidates.assign(_is_repeated(found_rows), Fate.FOUND_TWICE)
    return candidates


def _searches(
    collection: Collection,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    config: MineConfig,
    rng: np.random.Generator,
) -> Iterator[tuple[NegativeSource, PassageRows]]:
    """Yield passage rows by rank, NO_PASSAGE where there is none, of each search."""
    query_ids = list(collection.positives("train"))
    passage_count = len(collection.passages)
    depth = min(config.depth, passage_count)
    yield "given", _given(collection, query_ids)
    if config.strategy in ("ance", "mix"):
        yield "ance", top_k(query_vectors, passage_vectors, depth).indices
    if config.strategy in ("bm25", "mix"):
        texts = [passage.content for passage in collection.passages.values()]
        queries = [collection.queries[query_id] for query_id in query_ids]
        yield "bm25", Bm25(texts).top_k(queries, depth).indices
    if config.strategy == "random":
        drawn = [rng.choice(passage_count, depth, replace=False) for _ in query_ids]
        yield "random", np.array(drawn, dtype=np.int64)


def _given(collection: Collection, query_ids: Sequence[str]) -> PassageRows:
    """Rows of the negatives that the data gives, padded at the right with NO_PASSAGE."""
    row_of = {passage_id: row for row, passage_id in enumerate(collection.passages)}
    given = [collection.negatives.get(query_id, ()) for query_id in query_ids]
    width = max(map(len, given), default=0)
    shape = len(given), width
    table = np.full(shape, NO_PASSAGE, dtype=np.int64)
    for query_row, passage_ids in enumerate(given):
        for rank, passage_id in enumerate(passage_ids):
            table[query_row, rank] = row_of[passage_id]
    return table


def _scores(query_vectors: Vectors, passage_vectors: Vectors, passages: PassageRows) -> Scores:
    """Score every cell of a table of passage rows with the query of its row."""
    query_count, width = passages.shape
    query_rows = np.repeat(np.arange(query_count), width)  # 0 0 1 1 for two queries, width 2
    passage_rows = passages.ravel()
    scores = score_pairs(query_vectors, passage_vectors, query_rows, passage_rows)
    return scores.reshape(passages.shape)


def _is_repeated(table: PassageRows) -> Mask:
    """Whether a cell's value stands further left in its row.

    For example, for one row:

        row                        4 7 4
        order (stable argsort)     0 2 1
        values in that order       4 4 7
        equals the one before it   - T F    -> columns 2 and 1
        repeated                   F F T
    """
    order = np.argsort(table, axis=1, kind="stable")
    values = np.take_along_axis(table, order, axis=1)
    equals_previous = np.diff(values, axis=1) == 0
    is_repeated = np.zeros(table.shape, dtype=bool)
    np.put_along_axis(is_repeated, order[:, 1:], equals_previous, axis=1)
    return is_repeated
