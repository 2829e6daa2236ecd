"""Mining anew while a model learns: in the whole corpus, or in the pool of passages that have mattered so far.

The pool is what ranked highest for each query in any round, and a fresh random sample of the rest, in which newcomers
are noticed. The sample also tells how many are missed: what it holds of the best ranks, scaled up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int64

from whet.mine.ance import mine_with_candidates
from whet.mine.candidates import Candidates
from whet.mine.config import MineConfig
from whet.mine.summary import MiningSummary
from whet.records import Collection, Encoder, MinedQuery, Passage

Rows = Int64[np.ndarray, " doc"]
Ranks = Int64[np.ndarray, "query rank"]
"""Passage rows that ranked highest for each training query, best first, padded with -1."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of the passages to search in, ascending: those that have mattered, and a random sample of the others."""

    inside: Rows
    sample: Rows
    corpus: int

    @classmethod
    def of(
        cls, collection: Collection, ranks: Sequence[Ranks], share: float, rng: np.random.Generator
    ) -> "Pool":
        """Gather what ranked high, answers and given negatives, and draw `share` of the rest."""
        row_of = {passage: row for row, passage in enumerate(collection.passages)}
        matters = np.zeros(len(row_of), bool)
        for table in ranks:
            matters[table[table >= 0]] = True
        for query, passages in collection.positives("train").items():
            matters[
                [row_of[passage] for passage in (*passages, *collection.negatives.get(query, ()))]
            ] = True
        outside = np.flatnonzero(~matters)
        drawn = rng.choice(outside, int(np.ceil(share * len(outside))), replace=False)
        return cls(np.flatnonzero(matters), np.sort(drawn), len(row_of))

    @property
    def rows(self) -> Rows:
        """All rows, ascending."""
        return np.sort(np.concatenate([self.inside, self.sample]))

    def part_of(self, collection: Collection) -> Collection:
        """The collection with the pool's passages alone, and what is judged of them."""
        every: list[Passage] = list(collection.passages.values())
        kept = {every[row].id: every[row] for row in self.rows.tolist()}
        qrels = {
            split: {
                query: {p: grade for p, grade in found.items() if p in kept}
                for query, found in judged.items()
            }
            for split, judged in collection.qrels.items()
        }
        return replace(collection, passages=kept, qrels=qrels)

    def recall(self, ranks: Ranks) -> float:
        """Estimate the share of the corpus's best ranks that are in the pool, whose own best are `ranks`.

        Each passage of the sample stands for so many outside. So the pool's first ranks are more of the corpus's; where
        these reach the depth, the share ends.
        """
        depth = ranks.shape[1]
        stands_for = (self.corpus - len(self.inside)) / max(1, len(self.sample))
        reached = np.cumsum(1 + np.isin(ranks, self.sample).mean(axis=0) * (stands_for - 1))
        return float(np.interp(depth, [0, *reached], np.arange(depth + 1)) / max(1, depth))


@dataclass(frozen=True, slots=True)
class Remined:
    """What mining anew came to; `ranks` follow the collection's training queries and passages, `recall` the pool's."""

    mined: list[MinedQuery]
    summary: MiningSummary
    ranks: Ranks
    encoded: int
    recall: float

    def to_json(self) -> dict[str, Any]:
        """The numbers."""
        return {"encoded": self.encoded, "recall": round(self.recall, 4)} | self.summary.to_json()


def remine(
    collection: Collection,
    encoder: Encoder,
    config: MineConfig,
    depth: int,
    pool: Pool | None = None,
) -> Remined:
    """Mine for the training queries with an encoder's vectors of today: in the whole corpus, or in a pool's part of it.

    The best `depth` of each query are told, as rows of the whole corpus, for the next round's pool.
    """
    rows = np.arange(len(collection.passages)) if pool is None else pool.rows
    queries = encoder.encode_queries(
        [collection.queries[query] for query in collection.positives("train")]
    )
    passages = encoder.encode_passages(
        [passage.content for passage in collection.passages.values()]
    )
    mined, summary, candidates = mine_with_candidates(collection, queries, passages, config)
    ranks = _ranks(candidates, rows, depth)
    return Remined(mined, summary, ranks, len(rows), 1.0 if pool is None else pool.recall(ranks))


def _ranks(candidates: Candidates, rows: Rows, depth: int) -> Ranks:
    """The table's own ranking, with the corpus's row numbers."""
    found = candidates.passages[:, candidates.from_source("ance")][:, :depth]
    ranks: Ranks = rows[found]
    return ranks
