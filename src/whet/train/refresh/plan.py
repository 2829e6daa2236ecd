"""What mining anew needs, what it costs in work, and so how often it is done."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from whet.mine.config import MineConfig
from whet.progress import say
from whet.records import Collection, MinedQuery, PositiveQuery
from whet.train.refresh.config import RefreshConfig
from whet.train.refresh.pool import Pool, Ranks

POOL_PAYS = 0.75  # of the corpus's characters: a pool that is larger saves too little
STEP = 5.0  # as long as encoding takes training on a text; measured on nl2bash_a, one thread (docs/LOG.md)


@dataclass(frozen=True)
class RefreshPlan:
    """What mining anew needs: the collection and how it is mined, each query's first ranks, and h* for passages.

    `stars` finds positive queries of mined passages; `negatives` per query are used. Rounds are kept in `folder`.
    """

    collection: Collection
    mine: MineConfig
    config: RefreshConfig
    negatives: int
    first: Ranks
    stars: Callable[[Sequence[MinedQuery]], list[PositiveQuery]]
    folder: Path
    seed: int = 13

    @property
    def depth(self) -> int:
        """Ranks of every query that stay in the pool: what mining skips, and `refresh.depth` more."""
        return self.mine.skip + self.config.depth

    @cached_property
    def pooled(self) -> bool:
        """Whether a pool is searched, and not the corpus."""
        corpus, pool = self._characters
        return self.config.cost == "pool" or (
            self.config.cost == "auto" and pool <= POOL_PAYS * corpus
        )

    @property
    def passage_characters(self) -> int:
        """What a refresh reads of passages."""
        return self._characters[self.pooled]

    @cached_property
    def query_characters(self) -> int:
        """What a refresh for all training queries reads of them."""
        return sum(
            len(self.collection.queries[query]) for query in self.collection.positives("train")
        )

    @cached_property
    def _characters(self) -> tuple[int, int]:
        """Of the corpus, and of the first pool."""
        sizes = np.array([len(passage.content) for passage in self.collection.passages.values()])
        pool = Pool.of(
            self.collection, [self.first], self.config.sample, np.random.default_rng(self.seed)
        )
        return int(sizes.sum()), int(sizes[pool.rows].sum())

    def work(self, epochs: int) -> float:
        """Characters that a training of so many epochs reads, each counted as often as a refresh could read it."""
        texts = {passage.id: len(passage.content) for passage in self.collection.passages.values()}
        read = sum(
            len(self.collection.queries[query]) + texts[passage] * (1 + self.negatives)
            for query, passages in self.collection.positives("train").items()
            for passage in passages
        )
        return STEP * epochs * read


def boundaries(plan: RefreshPlan, steps: int, epochs: int, evaluations: int) -> list[int]:
    """Steps after which negatives are mined anew, at equal distances, where dev is scored anyway if it is often enough.

    `auto` takes as many as its share of the training's work pays for, and no more than there are dev evaluations
    before the end.
    """
    times = 0
    if isinstance(plan.config.times, int):
        times = plan.config.times
    elif plan.config.times == "auto":
        passages, queries = plan.passage_characters, plan.query_characters
        costs = [
            times * passages + queries * _left(times, epochs) for times in range(1, evaluations)
        ]
        work = plan.work(epochs)
        times = sum(cost <= plan.config.share * work for cost in costs)
        if costs:
            what = (
                f"{times} planned"
                if times
                else f"over refresh.share ({plan.config.share:.0%}), so none"
            )
            say(f"mining anew once is about {costs[0] / work:.0%} of the training's work: {what}")
    every = max(1, -(-steps // evaluations)) if times < evaluations else 1
    ideal = [steps * number / (times + 1) for number in range(1, times + 1)]
    found = sorted({every * math.ceil(step / every - 0.5) for step in ideal} - {0, steps})
    if len(found) < times:
        say(
            f"negatives are mined anew {len(found)} times, not {times}: there are {steps} steps to do it between"
        )
    return found


def _left(times: int, epochs: int) -> float:
    """Shares of the training queries that so many refreshes are for, summed: in the last epoch those to come."""
    return sum(min(1.0, epochs * (1 - number / (times + 1))) for number in range(1, times + 1))
