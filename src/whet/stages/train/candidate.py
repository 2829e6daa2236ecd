"""Candidates: trainings that are compared with the base model, and the weights they end with.

`held_out` and `cross_validated` train and score candidates. What both share is here.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whet.evaluate.measures import PRIMARY
from whet.evaluate.retrieve import retrieve_lexically
from whet.evaluate.verdict import shown_worse
from whet.records import Collection, InterpolationPoint, Ranking
from whet.run.folder import Run
from whet.run.training_result import JudgeName
from whet.train.config import TrainConfig
from whet.train.dev import MAX_BM25_RANK, DevSet, dev_set
from whet.train.interpolate import best_on_dev
from whet.train.trainer import Trained

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POOL_SEED = 1
PRETRAINING_FOLDER = Path("scratch") / "written"

QueryScores = Mapping[str, float]
"""Query id → nDCG@10."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The base model's scores before the test, which every candidate is compared with.

    `judge` is where scores come from. `dev` is the mean of `per_query`; `guard` is the mean on the
    forgetting check, None without one.
    """

    judge: JudgeName
    dev: float
    per_query: QueryScores
    guard: float | None

    @property
    def queries(self) -> int:
        """How many queries are scored."""
        return len(self.per_query)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate: its model, its training, its scores, and whether it may replace base.

    `share` is the interpolation weight that was taken and `line` all that were scored; 1 and empty
    where weights were not interpolated.
    """

    model: "SentenceTransformer | None"
    trained: Trained
    dev: float
    guard: float | None
    is_better: bool
    share: float = 1.0
    line: Sequence[InterpolationPoint] = ()

    @property
    def rank(self) -> tuple[bool, float]:
        """What decides between candidates: first `is_better`, then dev."""
        return self.is_better, self.dev


def from_interpolation(
    run: Run,
    baseline: Baseline,
    model: "SentenceTransformer",
    trained: Trained,
    share: float,
    line: Sequence[InterpolationPoint],
) -> Candidate:
    """The candidate at an interpolation weight of its line; logs every point of the line."""
    base_point = InterpolationPoint(0.0, baseline.dev, baseline.guard)
    floor = forgetting_floor(run, baseline.guard)
    for point in (base_point, *line):
        logger.info(_point_line(point, baseline.judge, floor, run.recipe.guard.budget))
    taken = next((point for point in line if point.share == share), base_point)
    is_better = taken.dev > baseline.dev
    return Candidate(model, trained, taken.dev, taken.guard, is_better, share, line)


def _point_line(
    point: InterpolationPoint, judge: JudgeName, floor: float | None, budget: float
) -> str:
    line = f"interpolation weight {point.share:.2f}: {judge} {PRIMARY} {100 * point.dev:.2f}"
    if point.guard is None:
        return line
    line += f", forgetting check {100 * point.guard:.2f}"
    if floor is not None and point.guard < floor:
        line += f": more than {100 * budget:g} lost, over guard.budget, rejected"
    return line


def forgetting_floor(run: Run, base_score: float | None) -> float | None:
    """The lowest score on the forgetting check that is accepted.

    None without a check or interpolation, and where the trained model is kept in any case.
    """
    if base_score is None or run.force or not run.recipe.guard.interpolate:
        return None
    return base_score - run.recipe.guard.budget


def farthest_not_worse(
    run: Run, scores: Mapping[float, QueryScores]
) -> Callable[[Sequence[InterpolationPoint]], InterpolationPoint]:
    """A rule: take the highest weight that its queries do not show to be worse than the best.

    `scores`: interpolation weight → scores per query.
    """

    def choose(points: Sequence[InterpolationPoint]) -> InterpolationPoint:
        best_scores = scores[best_on_dev(points).share]
        acceptable = [
            point
            for point in points
            if not shown_worse(scores[point.share], best_scores, _generator(run))
        ]
        return acceptable[-1]

    return choose


def better_unless_shown_worse(
    run: Run, baseline: Baseline, candidate: Candidate, scores: Mapping[float, QueryScores]
) -> Candidate:
    """The candidate, marked as better unless its queries show it to be worse than base."""
    is_better = candidate.share > 0 and not shown_worse(
        scores[candidate.share], baseline.per_query, _generator(run)
    )
    if is_better and candidate.dev <= baseline.dev:
        logger.info(
            f"{baseline.queries} queries do not show that this is worse than base: "
            "the tuned model stays"
        )
    return replace(candidate, is_better=is_better)


def _generator(run: Run) -> np.random.Generator:
    """A fresh generator for every test, so that the order of tests does not matter."""
    return np.random.default_rng(run.recipe.seed)


def bm25_ranking(run: Run, split: str) -> Ranking:
    """BM25's first ranks for the queries of a split, for the dev pool."""
    queries = {query: run.collection.queries[query] for query in run.collection.positives(split)}
    return retrieve_lexically(queries, run.passages, MAX_BM25_RANK)


def dev_set_of(
    run: Run, collection: Collection, lexical: Ranking, bounds: range, evaluations: int
) -> DevSet:
    """The dev queries of the run's collection, or of a fold, with their pool of passages."""
    rng = np.random.default_rng([run.recipe.seed, POOL_SEED])
    budget = dev_budget(collection, run.recipe.train, bounds, evaluations)
    return dev_set(collection, lexical, rng, budget)


def dev_budget(collection: Collection, train: TrainConfig, bounds: range, evaluations: int) -> int:
    """Characters of the dev pool, within bounds.

    All dev evaluations together read half as much as the training does.
    """
    characters = sum(
        len(collection.passages[passage].content) for _, passage in collection.pairs("train")
    )
    training_reads = characters * train.epochs * (1 + train.negatives)
    budget = training_reads // (2 * evaluations)
    return max(bounds.start, min(bounds.stop, budget))
