"""The labelled pairs by which a teacher's quality is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64

from whet.records import Ranking
from whet.teach.pairs import PairId

DEV_DEPTH = 30  # of each query: passages that the base model ranks best, and as many random ones

Scores: TypeAlias = Float32[np.ndarray, " pair"]
PassagesOf: TypeAlias = Mapping[str, Sequence[str]]
"""Query id → passage ids."""


@dataclass(frozen=True)
class DevPairs:
    """Pairs that every teacher scores, and how their scores are used.

    AUC and AUPRC tell `positives` from `random`, nDCG ranks the passages of `ranked`. `scored` are
    all of these pairs, each once. The random pairs are needed because the base model's best
    passages are, by selection, those that it takes for answers: over these its AUC would be low.
    """

    scored: list[PairId]
    positives: list[PairId]
    random: list[PairId]
    ranked: PassagesOf

    @property
    def is_positive(self) -> Bool[np.ndarray, " labelled"]:
        """For each pair of `labelled_scores`, whether it is a positive."""
        count = len(self.positives) + len(self.random)
        return np.arange(count) < len(self.positives)

    def labelled_scores(self, scores: Scores) -> Float64[np.ndarray, " labelled"]:
        """The scores of the positives, then those of the random pairs; `scores` are of `scored`."""
        score_of = self._score_of(scores)
        labelled = [*self.positives, *self.random]
        return np.array([score_of[pair] for pair in labelled])

    def ranking(self, scores: Scores) -> Ranking:
        """The passages of `ranked` with their scores; `scores` are of `scored`."""
        score_of = self._score_of(scores)
        ranking: Ranking = {}
        for query, passages in self.ranked.items():
            ranking[query] = {passage: score_of[query, passage] for passage in passages}
        return ranking

    def _score_of(self, scores: Scores) -> dict[PairId, float]:
        return dict(zip(self.scored, scores.tolist(), strict=True))


def dev_pairs(
    positives: PassagesOf,
    nearest: PassagesOf,
    drawn: PassagesOf,
    known: Mapping[str, frozenset[str]],
) -> DevPairs:
    """Gather the pairs of each query with its positives, its nearest passages, and drawn ones.

    `nearest` are the base model's best passages. `drawn` are random passages, of which those that
    are known to answer the query (`known`) do not count as random.
    """
    scored: list[PairId] = []
    positive_pairs: list[PairId] = []
    random: list[PairId] = []
    ranked: dict[str, list[str]] = {}

    for query, answers in positives.items():
        near = nearest[query]
        random_passages = drawn[query]

        to_score = dict.fromkeys([*answers, *near, *random_passages])
        scored += [(query, passage) for passage in to_score]
        positive_pairs += [(query, passage) for passage in answers]
        unknown = [passage for passage in random_passages if passage not in known[query]]
        random += [(query, passage) for passage in dict.fromkeys(unknown)]
        ranked[query] = list(dict.fromkeys([*near, *answers]))

    return DevPairs(scored, positive_pairs, random, ranked)


def draw_passages(
    queries: Sequence[str], passages: Sequence[str], seed: int
) -> dict[str, list[str]]:
    """Query id → DEV_DEPTH random passage ids, some of them perhaps twice."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for query in queries:
        rows = rng.integers(0, len(passages), DEV_DEPTH)
        drawn[query] = [passages[row] for row in rows.tolist()]
    return drawn
