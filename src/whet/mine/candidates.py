"""The table of candidates: what the searches found for every training query, and what became of each find."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int64

from whet.mine.config import MineConfig
from whet.records import Collection, NegativeSource, Vectors
from whet.search.bm25 import Bm25
from whet.search.dense import score_pairs, top_k


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


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates of every training query: one column per rank of each search.

    Columns of negatives that the data gives come first, then rank by rank those of the searches.

    `scores` are inner products of the model's vectors, whichever search found the passage.
    """

    passages: Int64[np.ndarray, "query candidate"]
    scores: Float32[np.ndarray, "query candidate"]
    fates: Int8[np.ndarray, "query candidate"]
    ranks: Int64[np.ndarray, " candidate"]
    sources: tuple[NegativeSource, ...]

    @property
    def left(self) -> Bool[np.ndarray, "query candidate"]:
        """The candidates that nothing has spoken against so far."""
        left: Bool[np.ndarray, "query candidate"] = self.fates == Fate.LEFT_OVER
        return left

    def from_source(self, source: NegativeSource) -> Bool[np.ndarray, " candidate"]:
        """Tell which columns one search filled."""
        return np.array([name == source for name in self.sources], dtype=bool)

    def drop(self, where: np.ndarray, fate: Fate) -> None:
        """Give those of the candidates still left for which `where` (broadcast to the table) holds their fate."""
        self.fates[where & self.left] = fate


def search(
    collection: Collection,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    config: MineConfig,
    rng: np.random.Generator,
) -> Candidates:
    """Search as the strategy says; a passage found twice keeps the place of its better rank."""
    searches = list(_searches(collection, query_vectors, passage_vectors, config, rng))
    columns = [
        (source, rank) for source, found in searches for rank in range(1, found.shape[1] + 1)
    ]
    order = sorted(
        range(len(columns)), key=lambda column: (columns[column][0] != "given", columns[column][1])
    )
    passages = np.concatenate([found for _, found in searches], axis=1)[:, order]
    fates = np.where(passages < 0, Fate.EMPTY, Fate.LEFT_OVER).astype(np.int8)
    passages = np.maximum(passages, 0)
    query_rows = np.repeat(np.arange(len(passages)), passages.shape[1])
    scores = score_pairs(query_vectors, passage_vectors, query_rows, passages.ravel()).reshape(
        passages.shape
    )
    sources, ranks = (
        tuple(columns[column][0] for column in order),
        np.array([columns[column][1] for column in order]),
    )
    candidates = Candidates(passages, scores, fates, ranks, sources)
    candidates.drop(_repeated(np.where(candidates.left, passages, -1)), Fate.FOUND_TWICE)
    return candidates


def _searches(
    collection: Collection,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    config: MineConfig,
    rng: np.random.Generator,
) -> Iterator[tuple[NegativeSource, Int64[np.ndarray, "query candidate"]]]:
    """Yield passage rows, -1 where there is none, of each search."""
    queries = list(collection.positives("train"))
    depth = min(config.depth, len(collection.passages))
    yield "given", _given(collection, queries)
    if config.strategy in ("ance", "mix"):
        yield "ance", top_k(query_vectors, passage_vectors, depth).indices
    if config.strategy in ("bm25", "mix"):
        index = Bm25([passage.content for passage in collection.passages.values()])
        yield "bm25", index.top_k([collection.queries[query] for query in queries], depth).indices
    if config.strategy == "random":
        drawn = [rng.choice(len(collection.passages), depth, replace=False) for _ in queries]
        yield "random", np.array(drawn, dtype=np.int64)


def _given(collection: Collection, queries: list[str]) -> Int64[np.ndarray, "query candidate"]:
    row_of = {passage: row for row, passage in enumerate(collection.passages)}
    given = [
        [row_of[passage] for passage in collection.negatives.get(query, ())] for query in queries
    ]
    table = np.full((len(queries), max(map(len, given), default=0)), -1, dtype=np.int64)
    for at, rows in enumerate(given):
        table[at, : len(rows)] = rows
    return table


def _repeated(table: Int64[np.ndarray, "query candidate"]) -> Bool[np.ndarray, "query candidate"]:
    """Whether a cell's value stands further left in its row."""
    order = np.argsort(table, axis=1, kind="stable")
    ordered = np.take_along_axis(table, order, axis=1)
    repeated = np.zeros(table.shape, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return repeated
