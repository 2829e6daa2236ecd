"""What re-mining searches: the whole corpus, or the pool of passages that have mattered so far.

The pool holds what ranked highest for each query in any round, and a new random sample of the rest,
in which newcomers show up. From the best ranks of the sample follows how many the pool misses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int64

from whet.mine.ance import mine_with_candidates
from whet.mine.candidates import Candidates
from whet.mine.config import MineConfig
from whet.mine.summary import MiningSummary
from whet.records import Collection, Encoder, Judgements, MinedQuery

Rows = Int64[np.ndarray, " doc"]
Ranks = Int64[np.ndarray, "query rank"]
"""Passage rows that ranked highest for each training query, best first, padded with -1."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of the passages to search, ascending: those that have mattered, and a random sample.

    `corpus` counts the passages of the corpus.
    """

    inside: Rows
    sample: Rows
    corpus: int

    @classmethod
    def of(
        cls,
        collection: Collection,
        ranks: Sequence[Ranks],
        share: float,
        rng: np.random.Generator,
    ) -> "Pool":
        """Gather what ranked high, positives and given negatives; draw `share` of the rest."""
        row_of = {passage: row for row, passage in enumerate(collection.passages)}
        matters = np.zeros(len(row_of), bool)
        for table in ranks:
            matters[table[table >= 0]] = True
        for query, positives in collection.positives("train").items():
            given = collection.negatives.get(query, ())
            for passage in (*positives, *given):
                matters[row_of[passage]] = True
        inside = np.flatnonzero(matters)
        outside = np.flatnonzero(~matters)
        sample_size = math.ceil(share * len(outside))
        sample = rng.choice(outside, sample_size, replace=False)
        return cls(inside, np.sort(sample), len(row_of))

    @property
    def rows(self) -> Rows:
        """All rows, ascending."""
        both = np.concatenate([self.inside, self.sample])
        return np.sort(both)

    def part_of(self, collection: Collection) -> Collection:
        """The collection with the pool's passages alone, and their judgements."""
        every = list(collection.passages.values())
        passages = {}
        for row in self.rows.tolist():
            passages[every[row].id] = every[row]
        qrels: dict[str, Judgements] = {}
        for split, judgements in collection.qrels.items():
            qrels[split] = {}
            for query, grades in judgements.items():
                inside = {p: grade for p, grade in grades.items() if p in passages}
                qrels[split][query] = inside
        return replace(collection, passages=passages, qrels=qrels)

    def recall(self, ranks: Ranks) -> float:
        """Estimate which share of the corpus's best ranks the pool holds.

        `ranks` are the pool's own best. Each passage of the sample stands for several outside of
        the pool, so the pool's first ranks cover more ranks of the corpus. Recall is the number of
        the pool's ranks that cover the corpus's best `depth`, divided by `depth`.

        Example: one passage of the sample stands for 10, and it is the second of the pool's ranks
        for half of the queries. The pool's first 1, 2, 3 ranks then cover 1, 6.5, 7.5 of the
        corpus.
        """
        depth = ranks.shape[1]
        outside = self.corpus - len(self.inside)
        stands_for = outside / max(1, len(self.sample))
        is_from_sample = np.isin(ranks, self.sample)  # (query, rank)
        covers = 1 + is_from_sample.mean(axis=0) * (stands_for - 1)  # (rank,)
        covered = [0, *np.cumsum(covers)]  # ranks of the corpus, by number of the pool's ranks
        ranks_for_depth = np.interp(depth, covered, np.arange(depth + 1))
        return float(ranks_for_depth / max(1, depth))


@dataclass(frozen=True, slots=True)
class Remined:
    """What re-mining gave.

    `ranks` has a row for each training query of the collection, with row numbers of the whole
    corpus. `encoded` passages were searched; `recall` is the pool's.
    """

    mined: list[MinedQuery]
    summary: MiningSummary
    ranks: Ranks
    encoded: int
    recall: float

    def to_json(self) -> dict[str, Any]:
        """The numbers."""
        search = {"encoded": self.encoded, "recall": round(self.recall, 4)}
        return search | self.summary.to_json()


def remine(
    collection: Collection,
    encoder: Encoder,
    config: MineConfig,
    depth: int,
    pool: Pool | None = None,
) -> Remined:
    """Mine for the training queries with an encoder's vectors of this moment.

    `collection` is the whole one, or the pool's part of it. `depth` ranks of each query are
    returned, for the next round's pool.
    """
    query_ids = collection.positives("train")
    queries = [collection.queries[query] for query in query_ids]
    passages = [passage.content for passage in collection.passages.values()]
    query_embeddings = encoder.encode_queries(queries)
    passage_embeddings = encoder.encode_passages(passages)
    mined, summary, candidates = mine_with_candidates(
        collection, query_embeddings, passage_embeddings, config
    )
    if pool is None:
        all_rows = np.arange(len(passages))
        ranks = _ranks(candidates, all_rows, depth)
        return Remined(mined, summary, ranks, encoded=len(passages), recall=1.0)
    ranks = _ranks(candidates, pool.rows, depth)
    return Remined(mined, summary, ranks, encoded=len(passages), recall=pool.recall(ranks))


def _ranks(candidates: Candidates, rows: Rows, depth: int) -> Ranks:
    """The best ranks of the model's own search, with the corpus's row numbers.

    `candidates.passages` has one column per candidate, some from other searches; `rows` translates
    the searched collection's row numbers: with rows [3, 7, 8], candidate 1 is passage 7.
    """
    is_from_model = candidates.from_source("ance")  # (candidate,)
    from_model = candidates.passages[:, is_from_model]  # (query, rank)
    ranks: Ranks = rows[from_model[:, :depth]]
    return ranks
