"""Candidates judged by the dev split."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from whet.run.folder import Run
from whet.stages.train.attempt import (
    Attempt,
    StageFolders,
    WorkFolders,
    pretrain_on_synthetic,
    train_once,
    training_data_of,
)
from whet.stages.train.candidate import (
    PRETRAINING_FOLDER,
    Baseline,
    Candidate,
    QueryScores,
    better_unless_shown_worse,
    bm25_ranking,
    dev_set_of,
    farthest_not_worse,
    forgetting_floor,
    from_interpolation,
)
from whet.train.config import TrainConfig
from whet.train.dev import BASE_KEY, DevEvaluator, DevSet
from whet.train.forgetting import forgetting_set
from whet.train.interpolate import best_on_dev, interpolate
from whet.train.moe_config import MoEConfig
from whet.train.trainer import TrainingData

MIN_QUERIES_TO_RANK = 100  # fewer real dev queries cannot tell interpolation weights apart
POOL_CHARACTERS = range(100_000, 500_000)  # 500,000 are some 100,000 tokens, 20 s on two cores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOut:
    """What all candidates of a run share: dev set, training data, the base model's scores."""

    run: Run
    folder: Path
    baseline: Baseline
    dev: DevSet
    forgetting: DevSet | None
    data: TrainingData
    start_weights: Path | None

    @property
    def has_few_queries(self) -> bool:
        """Whether dev is too small to tell interpolation weights apart.

        Synthetic queries do not count as few: their number says nothing of how well they tell.
        """
        is_synthetic = "dev" in self.run.collection.synthetic
        return self.baseline.queries < MIN_QUERIES_TO_RANK and not is_synthetic


def prepare(run: Run, folder: Path, sources: StageFolders) -> HeldOut:
    """Score the base model on dev, and train on synthetic queries where there are some."""
    evaluations = run.recipe.train.evaluations
    lexical = bm25_ranking(run, "dev")
    dev = dev_set_of(run, run.collection, lexical, POOL_CHARACTERS, evaluations)
    logger.info(
        f"dev: {len(dev.queries)} queries, "
        f"searched in {len(dev.passages):,} of {len(run.passages):,} passages"
    )
    data = training_data_of(run, run.collection, sources)
    forgetting = forgetting_set(run.recipe.guard)
    scores = DevEvaluator(dev, folder / "dev", forgetting).score(run.base_model, BASE_KEY)
    baseline = Baseline("dev", scores.primary, scores.primary_per_query, scores.forgetting)
    start_weights = pretrain_on_synthetic(run, folder / PRETRAINING_FOLDER, sources)
    return HeldOut(run, folder, baseline, dev, forgetting, data, start_weights)


def train_candidate(setup: HeldOut, name: str, train: TrainConfig, moe: MoEConfig) -> Candidate:
    """Train, with early stopping, and interpolate with the base weights where the recipe says so.

    Files go to subfolders `name`, which may be empty. Without interpolation the checkpoint is taken
    that `TakeLast` chooses. With it, the interpolation weight that does best on dev; with few real
    dev queries, the highest one that they do not show to be worse (as in `cross_validated`).
    """
    interpolates = setup.run.recipe.guard.interpolate
    scores_folder = setup.folder / "dev" / name
    evaluator = DevEvaluator(setup.dev, scores_folder, setup.forgetting)
    few_and_interpolated = setup.has_few_queries and interpolates
    attempt = train_once(
        setup.run,
        setup.data,
        train,
        moe,
        WorkFolders(setup.folder / "scratch" / name, setup.folder / "refresh" / name),
        start_weights=setup.start_weights,
        evaluator=evaluator,
        floor=-math.inf if few_and_interpolated else setup.baseline.dev,
    )
    best_step = attempt.trained.best_step
    if not best_step:
        baseline = setup.baseline
        return Candidate(
            attempt.model, attempt.trained, baseline.dev, baseline.guard, is_better=False
        )
    if interpolates:
        return _interpolated(setup, attempt, scores_folder / "shares")
    scores = evaluator.read(best_step)
    is_better = scores.primary > setup.baseline.dev
    return Candidate(attempt.model, attempt.trained, scores.primary, scores.forgetting, is_better)


def _interpolated(setup: HeldOut, attempt: Attempt, scores_folder: Path) -> Candidate:
    """Choose an interpolation weight by dev and forgetting check, and set the model to it."""
    run = setup.run
    evaluator = DevEvaluator(setup.dev, scores_folder, setup.forgetting)
    per_query: dict[float, QueryScores] = {}

    def score(share: float) -> tuple[float, float | None]:
        scores = evaluator.score(attempt.model, key=str(round(100 * share)))
        per_query[share] = scores.primary_per_query
        return scores.primary, scores.forgetting

    share, line = interpolate(
        attempt.model,
        attempt.base_weights,
        score,
        run.recipe.guard.shares,
        forgetting_floor(run, setup.baseline.guard),
        farthest_not_worse(run, per_query) if setup.has_few_queries else best_on_dev,
    )
    candidate = from_interpolation(run, setup.baseline, attempt.model, attempt.trained, share, line)
    if setup.has_few_queries:
        return better_unless_shown_worse(run, setup.baseline, candidate, per_query)
    return candidate
