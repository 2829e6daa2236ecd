"""The labelled pairs by which a teacher's quality is measured."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64

from whet.records import Judgements, Ranking
from whet.teach.pairs import PairId

DEV_DEPTH = 30  # of each query: passages that the base model ranks best, and as many random ones

DevScores: TypeAlias = Float32[np.ndarray, " pair"]
LabelledScores: TypeAlias = Float64[np.ndarray, " labelled"]
IsPositive: TypeAlias = Bool[np.ndarray, " labelled"]

PassagesOf: TypeAlias = Mapping[str, Iterable[str]]
"""Query id → passage ids."""


@dataclass(frozen=True)
class DevPairs:
    """Pairs that every teacher scores, and how their scores are used.

    AUC and AUPRC tell `positives` from `random`; nDCG ranks the passages of `ranked` (query id →
    passage ids) against `qrels`. `scored` are all of these pairs, each once. The random pairs are
    needed because the base model's best passages are, by selection, those that it takes for
    answers: its own AUC over these would be low.
    """

    qrels: Judgements
    scored: list[PairId]
    positives: list[PairId]
    random: list[PairId]
    ranked: dict[str, list[str]]

    @property
    def is_positive(self) -> IsPositive:
        """For each of `labelled_scores`, whether it is a positive's."""
        positives = np.ones(len(self.positives), bool)
        random = np.zeros(len(self.random), bool)
        return np.concatenate([positives, random])

    def labelled_scores(self, scores: DevScores) -> LabelledScores:
        """The scores of the positives, then those of the random pairs; `scores` are of `scored`."""
        score_of = self._by_pair(scores)
        labelled = self.positives + self.random
        return np.array([score_of[pair] for pair in labelled])

    def ranking(self, scores: DevScores) -> Ranking:
        """The passages of `ranked` with their scores; `scores` are of `scored`."""
        score_of = self._by_pair(scores)
        ranking: Ranking = {}
        for query, passages in self.ranked.items():
            ranking[query] = {passage: score_of[query, passage] for passage in passages}
        return ranking

    def _by_pair(self, scores: DevScores) -> dict[PairId, float]:
        pairs_and_scores = zip(self.scored, scores.tolist(), strict=True)
        return dict(pairs_and_scores)


def dev_pairs(
    qrels: Judgements,
    positives: PassagesOf,
    nearest: PassagesOf,
    drawn: PassagesOf,
    known: Mapping[str, frozenset[str]],
) -> DevPairs:
    """Gather the pairs of each query with its positives, its nearest passages, and drawn ones.

    `nearest` are the base model's best passages. `drawn` are random passages, of which those that
    are known to answer the query (`known`) do not count as random.
    """
    pairs = DevPairs(qrels, [], [], [], {})
    for query, answers in positives.items():
        near = nearest[query]
        random = drawn[query]
        unknown = [passage for passage in random if passage not in known[query]]

        to_score = [*answers, *near, *random]
        pairs.scored.extend(_pairs(query, to_score))
        pairs.positives.extend(_pairs(query, answers))
        pairs.random.extend(_pairs(query, unknown))

        to_rank = dict.fromkeys([*near, *answers])
        pairs.ranked[query] = list(to_rank)
    return pairs


def draw_passages(
    queries: Sequence[str],
    passages: Sequence[str],
    seed: int,
) -> dict[str, list[str]]:
    """Query id → DEV_DEPTH random passage ids, some of them perhaps twice."""
    rng = np.random.default_rng(seed)
    passage_count = len(passages)
    drawn = {}
    for query in queries:
        rows = rng.integers(0, passage_count, DEV_DEPTH)
        drawn[query] = [passages[row] for row in rows]
    return drawn


def _pairs(query: str, passages: Iterable[str]) -> list[PairId]:
    """The query with each passage, once."""
    return [(query, passage) for passage in dict.fromkeys(passages)]
