"""Pairs of a query and a passage for teachers to score."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64, UInt64

from whet.records import Collection, MinedQuery

PairId: TypeAlias = tuple[str, str]
"""A query id and a passage id."""

Hashes: TypeAlias = UInt64[np.ndarray, " text"]
Rows: TypeAlias = Int64[np.ndarray, " pair"]

MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads two hashes over one
SHIFT = np.uint64(29)


@dataclass(frozen=True, slots=True)
class PairHashes:
    """Hashes of both texts of each pair."""

    queries: Hashes
    passages: Hashes

    def take(self, rows: Rows) -> "PairHashes":
        """The hashes of some of the pairs."""
        return PairHashes(
            self.queries[rows],
            self.passages[rows],
        )

    @property
    def keys(self) -> Hashes:
        """One number for each pair.

        The chance that any two of a million pairs get the same number is 3e-8.
        """
        mixed = self.passages ^ (self.passages >> SHIFT)
        keys: Hashes = self.queries + MIX * mixed
        return keys


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts as rows of two lists.

    Pair i is `queries[query_rows[i]]` with `passages[passage_rows[i]]`. So a text that is in many
    pairs is stored and hashed once.
    """

    queries: Sequence[str]
    passages: Sequence[str]
    query_rows: Rows
    passage_rows: Rows

    def __len__(self) -> int:
        return len(self.query_rows)

    def hashes(self, start: int, stop: int) -> PairHashes:
        """The hashes of the pairs from `start` up to, but not including, `stop`."""
        query_rows = self.query_rows[start:stop]
        passage_rows = self.passage_rows[start:stop]
        return PairHashes(
            self._query_hashes[query_rows],
            self._passage_hashes[passage_rows],
        )

    @cached_property
    def _query_hashes(self) -> Hashes:
        return _hashes(self.queries)

    @cached_property
    def _passage_hashes(self) -> Hashes:
        return _hashes(self.passages)


def pairs_of(collection: Collection, ids: Sequence[PairId]) -> Pairs:
    """The texts of pairs that are given by their ids; raises ValueError where there are none."""
    query_ids, passage_ids = zip(*ids, strict=True)
    distinct_queries, query_rows = _numbered(query_ids)
    distinct_passages, passage_rows = _numbered(passage_ids)
    queries = [collection.queries[query] for query in distinct_queries]
    passages = [collection.passages[passage] for passage in distinct_passages]
    return Pairs(
        queries,
        [passage.content for passage in passages],
        query_rows,
        passage_rows,
    )


def training_pairs(
    collection: Collection,
    mined: Sequence[MinedQuery],
    known: Mapping[str, frozenset[str]],
    cross_pairs: int,
) -> list[PairId]:
    """The pairs that get a label: positives, mined negatives, and cross pairs.

    Cross pairs are every training query with every positive passage of the train split. They are
    added where there are no more than `cross_pairs` of them. `known` is query id → ids of the
    passages that are known to answer it, by any split. A pair that another split holds to be
    positive is left out. So are synthetic queries: a teacher cannot add to what made them.
    """
    positives = collection.pairs("train")
    query_ids = dict.fromkeys(query for query, _ in positives)
    passage_ids = dict.fromkeys(passage for _, passage in positives)

    candidates = dict.fromkeys(positives)
    for mined_query in mined:
        query = mined_query.query_id
        if query not in collection.queries:  # a synthetic one
            continue
        for negative in mined_query.negatives:
            candidates[query, negative.passage_id] = None

    if len(query_ids) * len(passage_ids) <= cross_pairs:
        for query in query_ids:
            for passage in passage_ids:
                candidates[query, passage] = None

    is_training_positive = set(positives)
    pairs = []
    for pair in candidates:
        query, passage = pair
        if pair in is_training_positive or passage not in known[query]:
            pairs.append(pair)
    return pairs


def random_pairs(collection: Collection, count: int, seed: int) -> Pairs:
    """Training queries with passages drawn at random.

    They show what a teacher scores where the texts have nothing to do with each other.
    """
    rng = np.random.default_rng(seed)
    queries = [collection.queries[query] for query in collection.positives("train")]
    passages = [passage.content for passage in collection.passages.values()]
    query_rows = rng.integers(0, len(queries), count)
    passage_rows = rng.integers(0, len(passages), count)
    return Pairs(queries, passages, query_rows, passage_rows)


def _numbered(ids: Sequence[str]) -> tuple[list[str], Rows]:
    """The distinct ids in the order in which they first come, and each id's place among them.

    >>> distinct, rows = _numbered(["b", "a", "b"])
    >>> distinct, rows.tolist()
    (['b', 'a'], [0, 1, 0])
    """
    distinct = list(dict.fromkeys(ids))
    row_of = {id_: row for row, id_ in enumerate(distinct)}
    rows = [row_of[id_] for id_ in ids]
    return distinct, np.array(rows, np.int64)


def _hashes(texts: Sequence[str]) -> Hashes:
    """The first 8 bytes of each text's BLAKE2b hash, as a number."""
    joined = bytearray()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        joined += hashlib.blake2b(encoded, digest_size=8).digest()
    return np.frombuffer(bytes(joined), np.uint64)
