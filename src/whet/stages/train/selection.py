"""How a training is judged: on the dev split, or by cross-validation where there are too few queries for one."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from whet.artifacts import SCRATCH, read_json, write_json
from whet.data.split import folds
from whet.encoder.packed import PackedEncoder
from whet.evaluate.measures import PRIMARY
from whet.evaluate.retrieve import retrieve_lexically
from whet.evaluate.verdict import shown_worse
from whet.progress import say
from whet.records import Collection, Encoder, InterpolationPoint, Ranking
from whet.run.folder import Run
from whet.stages.train.attempt import (
    StageFolders,
    training_data_of,
    pretrain_on_synthetic,
    train_once,
)
from whet.moe.config import MoEConfig
from whet.train.config import TrainConfig
from whet.train.dev import (
    BASE_KEY,
    MAX_BM25_RANK,
    DevEvaluator,
    DevSet,
    dev_set,
    ndcg_each,
    ndcg_on,
)
from whet.train.forgetting import forgetting_set
from whet.train.interpolate import best_on_dev, interpolate
from whet.train.trainer import Trained

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POOL_SEED = 1
FEW = 100  # dev queries that are too few to tell points on the line apart
REFRESH, WRITTEN = "refresh", "written"
DEV_POOL = range(100_000, 500_000)  # characters; 500,000 are some 100,000 tokens, 20 s on two cores
FOLD_POOL = range(20_000, 100_000)  # of each fold


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: its model, what it did, its scores, whether it is to take base's place, and its way from base."""

    model: "SentenceTransformer | None"
    trained: Trained
    score: float
    guard: float | None
    better: bool
    share: float = 1.0
    line: Sequence[InterpolationPoint] = ()

    @property
    def rank(self) -> tuple[bool, float]:
        """What decides between trials: one that may take base's place comes before one that may not."""
        return self.better, self.score


class Judge(Protocol):
    """Trains by a recipe and says how good the result is; `base` and `guard` are the base model's own scores.

    `name` and `queries` are what the scores come from, `each` is the base model's by query.
    """

    name: str
    queries: int
    base: float
    each: dict[str, float]
    guard: float | None

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """One training; its files go to a subfolder `part` of its folders, which may be empty."""
        ...


def judge_of(run: Run, folder: Path, sources: StageFolders) -> Judge:
    """The dev split where there is one, else cross-validation."""
    return (HeldOut if run.collection.positives("dev") else CrossValidated)(run, folder, sources)


class HeldOut:
    """One training, judged by the dev split: a checkpoint (`TakeLast`), then the best point on the line to base.

    On that line fewer than FEW real dev queries choose as those of CrossValidated do.
    """

    name = "dev"

    def __init__(self, run: Run, folder: Path, sources: StageFolders) -> None:
        self.run, self.folder = run, folder
        self.dev = _dev_set(
            run, run.collection, _lexical(run, "dev"), DEV_POOL, run.recipe.train.evaluations
        )
        self.queries = len(self.dev.queries)
        say(
            f"dev: {self.queries} queries, searched in {len(self.dev.passages):,} of {len(run.passages):,}"
        )
        self.material = training_data_of(run, run.collection, sources)
        self.forgetting_set = forgetting_set(run.recipe.guard)
        evaluator = DevEvaluator(self.dev, folder / "dev", self.forgetting_set)
        found = evaluator.score(run.base_model, BASE_KEY)
        self.base, self.guard = found.primary, found.forgetting
        self.each = dict(found.primary_per_query)
        self.few = self.queries < FEW and "dev" not in run.collection.synthetic
        self.first = pretrain_on_synthetic(run, folder / SCRATCH / WRITTEN, sources)

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """Train, with early stopping, and go back towards base as far as dev and guard say."""
        scores, guard = self.folder / "dev" / part, self.run.recipe.guard
        floor = -math.inf if self.few and guard.interpolate else self.base
        evaluator = DevEvaluator(self.dev, scores, self.forgetting_set)
        places = self.folder / SCRATCH / part, self.folder / REFRESH / part
        model, before, trained = train_once(
            self.run, self.material, evaluator, train, moe, *places, self.first, floor
        )
        if not trained.best_step:
            return Trial(model, trained, self.base, self.guard, better=False)
        if not guard.interpolate:
            found = evaluator.read(trained.best_step)
            return Trial(
                model,
                trained,
                found.primary,
                found.forgetting,
                better=found.primary > self.base,
            )
        lines, each = (
            DevEvaluator(self.dev, scores / "shares", self.forgetting_set),
            dict[float, Mapping[str, float]](),
        )

        def score(share: float) -> tuple[float, float | None]:
            found = lines.score(model, str(round(100 * share)))
            each[share] = found.primary_per_query
            return found.primary, found.forgetting

        choose = _farthest(self.run, each) if self.few else best_on_dev
        share, line = interpolate(
            model, before, score, guard.shares, _floor(self.run, self.guard), choose
        )
        trial = _on_line(self, self.run, model, trained, share, line)
        return _unless_worse(self, self.run, trial, each) if self.few else trial


class CrossValidated:
    """One training on each fold's rest tells what to expect, point by point on the line; the last takes all queries.

    Points are judged by the queries of all folds together, each by the model that has not seen it, and by the guard of
    the last model itself. Trainings run to their end: a fold's few queries are too few to stop at, and all of them too
    few to tell points apart. A share is therefore taken unless they show that less of it is better: the farthest point
    that is not shown to be worse than the best, and base only where that is shown to be worse than base. Fewer than
    FEWEST queries show nothing but a landslide: then the best point is taken, and base where that is worse.
    """

    name = "cross-validation"

    def __init__(self, run: Run, folder: Path, sources: StageFolders) -> None:
        self.run, self.folder, self.sources = run, folder, sources
        self.folds = folds(run.collection, run.recipe.seed)
        self.shares = run.recipe.guard.shares if run.recipe.guard.interpolate else (1.0,)
        lexical = _lexical(run, "train")
        self.sets = [
            _dev_set(run, fold, lexical, FOLD_POOL, len(self.shares)) for fold in self.folds
        ]
        self.forgetting_set = forgetting_set(run.recipe.guard)
        self.guard = self._guarded(PackedEncoder(run.base_model))
        self.took: list[float] = []  # seconds of each fold that was trained
        self.each = _all([ndcg_each(run.base_encoder, dev) for dev in self.sets])
        self.base = float(np.mean(list(self.each.values())))
        self.queries = len(self.each)
        say(
            f"{self.queries} queries are too few for a dev split: {len(self.folds)}-fold cross-validation, then all, "
            f"{len(self.folds) + 1} trainings in all"
        )
        self.first = pretrain_on_synthetic(run, folder / SCRATCH / WRITTEN, sources)

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """Train on each fold's rest, then on everything, and go as far from base as the folds and the guard say."""
        scratch, scores = (self.folder / place / part for place in (SCRATCH, "dev"))
        lines = [self._fold(at, scores, scratch, train, moe) for at in range(len(self.folds))]
        expected = {share: _all([line[share] for line in lines]) for share in self.shares}
        say(f"last, train on all {self.queries} queries")
        material = training_data_of(self.run, self.run.collection, self.sources)
        places = scratch / "whole", self.folder / REFRESH / part
        model, before, trained = train_once(
            self.run, material, None, train, moe, *places, self.first
        )

        def score(share: float) -> tuple[float, float | None]:
            return float(np.mean(list(expected[share].values()))), self._guarded(
                PackedEncoder(model)
            )

        farthest = _farthest(self.run, expected)
        share, line = interpolate(
            model, before, score, self.shares, _floor(self.run, self.guard), farthest
        )
        return _unless_worse(
            self, self.run, _on_line(self, self.run, model, trained, share, line), expected
        )

    def _fold(
        self, at: int, scores: Path, scratch: Path, train: TrainConfig, moe: MoEConfig
    ) -> dict[float, dict[str, float]]:
        """Scores of one fold's queries at each share, kept as `fold-N.json` in `scores`."""
        kept, fold, dev = scores / f"fold-{at + 1}.json", self.folds[at], self.sets[at]
        if not kept.exists():
            say(
                f"fold {at + 1} of {len(self.folds)}: train on {len(fold.positives('train'))} queries{self._left(at)}"
            )
            began = time.monotonic()
            material = training_data_of(self.run, fold, self.sources)
            places = scratch / f"fold-{at + 1}", scratch / f"fold-{at + 1}" / REFRESH
            model, before, _ = train_once(self.run, material, None, train, moe, *places, self.first)
            rows: list[dict[str, Any]] = []

            def score(share: float) -> tuple[float, None]:
                each = ndcg_each(PackedEncoder(model), dev)
                rows.append(
                    {"share": share, "dev": float(np.mean(list(each.values()))), "queries": each}
                )
                return rows[-1]["dev"], None

            interpolate(model, before, score, self.shares, None)
            write_json(kept, rows)
            self.took.append(time.monotonic() - began)
        return {row["share"]: row["queries"] for row in read_json(kept)}

    def _left(self, at: int) -> str:
        """How long all trainings to come will take, by the folds before."""
        seconds = (len(self.folds) + 1 - at) * float(np.mean(self.took)) if self.took else 0.0
        return (
            f", about {max(1, round(seconds / 60))} min left for all trainings" if seconds else ""
        )

    def _guarded(self, encoder: Encoder) -> float | None:
        return None if self.forgetting_set is None else ndcg_on(encoder, self.forgetting_set)


def _farthest(
    run: Run, each: Mapping[float, Mapping[str, float]]
) -> Callable[[Sequence[InterpolationPoint]], InterpolationPoint]:
    """Choose the farthest of some points that is not shown to be worse than the best; `each`: share → query → value."""

    def choose(points: Sequence[InterpolationPoint]) -> InterpolationPoint:
        best = each[best_on_dev(points).share]
        return [point for point in points if not shown_worse(each[point.share], best, _rng(run))][
            -1
        ]

    return choose


def _unless_worse(
    judge: Judge, run: Run, trial: Trial, each: Mapping[float, Mapping[str, float]]
) -> Trial:
    """The trial, better unless its queries show that it is worse than base."""
    better = trial.share > 0 and not shown_worse(each[trial.share], judge.each, _rng(run))
    if better and trial.score <= judge.base:
        say(
            f"{judge.queries} queries do not show that this is worse than base: the tuned model stays"
        )
    return replace(trial, better=better)


def _rng(run: Run) -> np.random.Generator:
    return np.random.default_rng(run.recipe.seed)


def _all(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The values of every part's queries."""
    return {query: value for part in parts for query, value in part.items()}


def _lexical(run: Run, split: str) -> Ranking:
    queries = {query: run.collection.queries[query] for query in run.collection.positives(split)}
    return retrieve_lexically(queries, run.passages, MAX_BM25_RANK)


def _dev_set(
    run: Run, collection: Collection, lexical: Ranking, bounds: range, evaluations: int
) -> DevSet:
    rng = np.random.default_rng([run.recipe.seed, POOL_SEED])
    return dev_set(
        collection, lexical, rng, dev_budget(collection, run.recipe.train, bounds, evaluations)
    )


def dev_budget(collection: Collection, train: TrainConfig, bounds: range, evaluations: int) -> int:
    """Characters of the dev pool: all dev evaluations together read half of what the training does, within bounds."""
    read = sum(
        len(collection.passages[passage].content) for _, passage in collection.pairs("train")
    )
    fair = read * train.epochs * (1 + train.negatives) // (2 * evaluations)
    return max(bounds.start, min(bounds.stop, fair))


def _floor(run: Run, guard: float | None) -> float | None:
    """The lowest guard score that will do; None without a guard or a way back, and where the tuned model is forced."""
    if guard is None or run.force or not run.recipe.guard.interpolate:
        return None
    return guard - run.recipe.guard.budget


def _on_line(
    judge: Judge,
    run: Run,
    model: "SentenceTransformer",
    trained: Trained,
    share: float,
    line: Sequence[InterpolationPoint],
) -> Trial:
    base, floor = InterpolationPoint(0.0, judge.base, judge.guard), _floor(run, judge.guard)
    for point in (base, *line):
        kept = "" if point.guard is None else f", guard {100 * point.guard:.2f}"
        if point.guard is not None and floor is not None and point.guard < floor:
            kept += (
                f": more than {run.recipe.guard.budget * 100:g} lost, over guard.budget, rejected"
            )
        say(
            f"{point.share:.0%} of the way from base: {judge.name} {PRIMARY} {100 * point.dev:.2f}{kept}"
        )
    best = next((point for point in line if point.share == share), base)
    return Trial(model, trained, best.dev, best.guard, best.dev > base.dev, share, line)
