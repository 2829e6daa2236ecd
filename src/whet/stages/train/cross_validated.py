"""Candidates judged by cross-validation, where there are too few queries for a dev split.

One training on each fold's rest shows what to expect at each interpolation weight: every query is
scored by a model that has not seen it. The last training takes all queries; the forgetting check
scores its own model.

Trainings run to their end. A fold's few queries cannot decide when to stop, and all of them cannot
tell neighbouring weights apart. So the highest interpolation weight is taken that they do not show
to be worse than the best one. The base model is kept only where that weight is shown to be worse
than base. `whet.evaluate.verdict.shown_worse` says what very few queries can show.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whet.data.split import folds
from whet.encoder import PackedEncoder
from whet.files import read_json, write_json
from whet.records import Collection, Encoder
from whet.run.folder import Run
from whet.stages.train.attempt import (
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
from whet.train.dev import DevSet, ndcg_each, ndcg_on
from whet.train.forgetting import forgetting_set
from whet.train.interpolate import interpolate
from whet.train.moe_config import MoEConfig

FOLD_POOL_CHARACTERS = range(20_000, 100_000)  # of each fold

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossValidation:
    """What all candidates of a run share: folds, their dev sets, the base model's scores.

    `seconds_per_fold` collects how long each fold took, for the estimate of the time left.
    """

    run: Run
    folder: Path
    sources: StageFolders
    baseline: Baseline
    folds: Sequence[Collection]
    dev_sets: Sequence[DevSet]
    forgetting: DevSet | None
    shares: Sequence[float]
    start_weights: Path | None
    seconds_per_fold: list[float] = field(default_factory=list)


def prepare(run: Run, folder: Path, sources: StageFolders) -> CrossValidation:
    """Score the base model on every fold, and train on synthetic queries where there are some."""
    guard = run.recipe.guard
    parts = folds(run.collection, run.recipe.seed)
    shares = guard.shares if guard.interpolate else (1.0,)
    lexical = bm25_ranking(run, "train")
    dev_sets = [dev_set_of(run, fold, lexical, FOLD_POOL_CHARACTERS, len(shares)) for fold in parts]
    forgetting = forgetting_set(guard)
    forgetting_score = _forgetting_score(PackedEncoder(run.base_model), forgetting)
    per_query = _union([ndcg_each(run.base_encoder, dev) for dev in dev_sets])
    baseline = Baseline("cross-validation", _mean(per_query), per_query, forgetting_score)
    logger.info(
        f"{baseline.queries} queries are too few for a dev split: {len(parts)}-fold "
        f"cross-validation, then a training on all, {len(parts) + 1} trainings together"
    )
    start_weights = pretrain_on_synthetic(run, folder / PRETRAINING_FOLDER, sources)
    return CrossValidation(
        run, folder, sources, baseline, parts, dev_sets, forgetting, shares, start_weights
    )


def train_candidate(
    setup: CrossValidation, name: str, train: TrainConfig, moe: MoEConfig
) -> Candidate:
    """Train on each fold's rest, then on all queries, and choose the interpolation weight.

    Files go to subfolders `name`, which may be empty.
    """
    run = setup.run
    fold_scores = [
        _score_fold(setup, name, number, train, moe) for number in range(len(setup.folds))
    ]
    expected: dict[float, QueryScores] = {}
    for share in setup.shares:
        expected[share] = _union([scores[share] for scores in fold_scores])
    logger.info(f"last, train on all {setup.baseline.queries} queries")
    attempt = train_once(
        run,
        training_data_of(run, run.collection, setup.sources),
        train,
        moe,
        WorkFolders(setup.folder / "scratch" / name / "whole", setup.folder / "refresh" / name),
        start_weights=setup.start_weights,
    )

    def score(share: float) -> tuple[float, float | None]:
        forgetting_score = _forgetting_score(PackedEncoder(attempt.model), setup.forgetting)
        return _mean(expected[share]), forgetting_score

    share, line = interpolate(
        attempt.model,
        attempt.base_weights,
        score,
        setup.shares,
        forgetting_floor(run, setup.baseline.guard),
        farthest_not_worse(run, expected),
    )
    candidate = from_interpolation(run, setup.baseline, attempt.model, attempt.trained, share, line)
    return better_unless_shown_worse(run, setup.baseline, candidate, expected)


def _score_fold(
    setup: CrossValidation, name: str, number: int, train: TrainConfig, moe: MoEConfig
) -> dict[float, QueryScores]:
    """Interpolation weight → scores of one fold's queries, by a model trained on the other folds.

    They are kept in `dev/NAME/fold-N.json`; a fold that has its file is not trained again.
    """
    file = setup.folder / "dev" / name / f"fold-{number + 1}.json"
    if not file.exists():
        started = time.monotonic()
        write_json(file, _train_fold(setup, name, number, train, moe))
        setup.seconds_per_fold.append(time.monotonic() - started)
    return {row["share"]: row["queries"] for row in read_json(file)}


def _train_fold(
    setup: CrossValidation, name: str, number: int, train: TrainConfig, moe: MoEConfig
) -> list[dict[str, Any]]:
    """Rows of a fold's file: `share`, `dev` (the mean), `queries` (id → nDCG@10)."""
    fold = setup.folds[number]
    logger.info(
        f"fold {number + 1} of {len(setup.folds)}: "
        f"train on {len(fold.positives('train'))} queries{_time_left(setup, number)}"
    )
    scratch = setup.folder / "scratch" / name / f"fold-{number + 1}"
    attempt = train_once(
        setup.run,
        training_data_of(setup.run, fold, setup.sources),
        train,
        moe,
        WorkFolders(scratch, scratch / "refresh"),
        start_weights=setup.start_weights,
    )
    rows: list[dict[str, Any]] = []

    def score(share: float) -> tuple[float, None]:
        per_query = ndcg_each(PackedEncoder(attempt.model), setup.dev_sets[number])
        rows.append({"share": share, "dev": _mean(per_query), "queries": per_query})
        return _mean(per_query), None

    interpolate(attempt.model, attempt.base_weights, score, setup.shares, None)
    return rows


def _time_left(setup: CrossValidation, number: int) -> str:
    """How long all trainings to come will take, by the folds before."""
    if not setup.seconds_per_fold:
        return ""
    trainings = len(setup.folds) + 1 - number
    seconds = trainings * float(np.mean(setup.seconds_per_fold))
    return f", about {max(1, round(seconds / 60))} min left for all trainings"


def _forgetting_score(encoder: Encoder, forgetting: DevSet | None) -> float | None:
    return None if forgetting is None else ndcg_on(encoder, forgetting)


def _union(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The scores of every part's queries; no query is in two parts."""
    scores: dict[str, float] = {}
    for part in parts:
        scores |= part
    return scores


def _mean(per_query: QueryScores) -> float:
    return float(np.mean(list(per_query.values())))
