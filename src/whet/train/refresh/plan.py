"""What re-mining needs, what it costs in work, and at which steps it is done."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from whet.mine.config import MineConfig
from whet.records import Collection, MinedQuery, PositiveQuery
from whet.train.refresh.config import RefreshConfig
from whet.train.refresh.pool import Pool, Ranks

# A pool with more of the corpus's characters saves too little.
MAX_POOL_SHARE = 0.75
# Training on a text takes this many times as long as encoding it; measured on nl2bash_a with one
# thread (docs/LOG.md).
TRAINING_COST = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefreshPlan:
    """What re-mining needs.

    Attributes:
        collection: the training queries, and the corpus.
        mine: how negatives are mined.
        config: when, and in what.
        negatives: how many negatives a query are used.
        first_ranks: the rows of the passages that the base model ranks highest for each training
            query.
        find_positive_queries: finds positive queries (h*) of mined negatives.
        folder: where the folders of rounds lie.
        seed: of the pool's random sample.
    """

    collection: Collection
    mine: MineConfig
    config: RefreshConfig
    negatives: int
    first_ranks: Ranks
    find_positive_queries: Callable[[Sequence[MinedQuery]], list[PositiveQuery]]
    folder: Path
    seed: int = 13

    @property
    def depth(self) -> int:
        """Ranks of every query that stay in the pool: those mining skips, and `refresh.depth`."""
        return self.mine.skip + self.config.depth

    @cached_property
    def pooled(self) -> bool:
        """Whether a pool is searched, and not the whole corpus."""
        if self.config.cost != "auto":
            return self.config.cost == "pool"
        return self._pool_characters <= MAX_POOL_SHARE * self._corpus_characters

    @property
    def passage_characters(self) -> int:
        """Characters of passages that one refresh reads."""
        return self._pool_characters if self.pooled else self._corpus_characters

    @cached_property
    def query_characters(self) -> int:
        """Characters of queries that a refresh for all training queries reads."""
        text_of = self.collection.queries
        queries = self.collection.positives("train")
        return sum(len(text_of[query]) for query in queries)

    @cached_property
    def _corpus_characters(self) -> int:
        passages = self.collection.passages.values()
        return sum(len(passage.content) for passage in passages)

    @cached_property
    def _pool_characters(self) -> int:
        """Of the first pool."""
        rng = np.random.default_rng(self.seed)
        ranks = [self.first_ranks]
        pool = Pool.of(self.collection, ranks, self.config.sample, rng)
        passages = list(self.collection.passages.values())
        rows = pool.rows.tolist()
        return sum(len(passages[row].content) for row in rows)

    def work(self, epochs: int) -> float:
        """Work of a training of so many epochs, in characters that a refresh could read instead."""
        queries = self.collection.queries
        passages = self.collection.passages
        characters = 0
        for query, positive in self.collection.pairs("train"):
            # Negatives are not known yet; they count as long as the positive.
            passage_length = len(passages[positive].content)
            characters += len(queries[query])
            characters += passage_length * (1 + self.negatives)
        return TRAINING_COST * epochs * characters


def boundaries(plan: RefreshPlan, steps: int, epochs: int, evaluations: int) -> list[int]:
    """Steps after which negatives are re-mined, at equal distances.

    They are steps at which dev is scored anyway, if that is often enough. `auto` takes as many as
    its share of the training's work pays for, and fewer than there are dev evaluations.
    """
    times = 0
    if isinstance(plan.config.times, int):
        times = plan.config.times
    elif plan.config.times == "auto":
        times = _affordable(plan, epochs, evaluations)
    every = 1
    if times < evaluations:
        every = max(1, math.ceil(steps / evaluations))
    nearest = set()
    for number in range(1, times + 1):
        ideal = steps * number / (times + 1)
        multiple = math.ceil(ideal / every - 0.5)
        nearest.add(every * multiple)
    chosen = sorted(nearest - {0, steps})
    if len(chosen) < times:
        logger.info(
            f"negatives are re-mined {len(chosen)} times, not {times}: "
            f"there are {steps} steps to do it between"
        )
    return chosen


def _affordable(plan: RefreshPlan, epochs: int, evaluations: int) -> int:
    """How many refreshes the share of the training's work pays for; logs it."""
    costs = []
    for times in range(1, evaluations):
        queries = plan.query_characters * _queries_left(times, epochs)
        costs.append(times * plan.passage_characters + queries)
    if not costs:
        return 0
    work = plan.work(epochs)
    share = plan.config.share
    affordable = sum(cost <= share * work for cost in costs)
    result = f"{affordable} planned"
    if not affordable:
        result = f"over refresh.share ({share:.0%}), so none"
    once = costs[0] / work
    logger.info(f"re-mining once takes about {once:.0%} of the training's work: {result}")
    return affordable


def _queries_left(times: int, epochs: int) -> float:
    """For how many times the training queries `times` refreshes mine, in all.

    In the last epoch a refresh mines for the queries that are still to come. With one epoch, two
    refreshes are for 2/3 and 1/3 of the queries, 1 in all; with two epochs for all and 2/3 of them.
    """
    numbers = range(1, times + 1)
    steps_left = [1 - number / (times + 1) for number in numbers]  # share of all steps
    return sum(min(1.0, epochs * share) for share in steps_left)
