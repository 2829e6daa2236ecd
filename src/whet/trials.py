"""How a training is judged: on the dev split, or by cross-validation where there are too few queries for one."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from whet.artifacts import SCRATCH, read_json, write_json
from whet.data.split import folds
from whet.encode import PackedEncoder
from whet.evaluate.measures import PRIMARY
from whet.evaluate.retrieve import retrieve_lexically
from whet.learning import StageFolders, material_of, taught_by_written, train_once
from whet.progress import say
from whet.records import Collection, Encoder, Ranking
from whet.run import Run, training_pairs
from whet.train.config import MoEConfig, TrainConfig
from whet.train.dev import GUARD, HARD, DevEvaluator, DevSet, dev_set, ndcg_on
from whet.train.guard import Point, guard_set, interpolate
from whet.train.trainer import Trained

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POOL_SEED = 1
REFRESH, WRITTEN = "refresh", "written"
DEV_POOL = range(100_000, 500_000)  # characters; 500,000 are some 100,000 tokens, 20 s on two cores
FOLD_POOL = range(20_000, 100_000)  # of each fold


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: its model, what it did, its scores, and how far it went from base on which line."""

    model: "SentenceTransformer | None"
    trained: Trained
    score: float
    guard: float | None
    share: float = 1.0
    line: Sequence[Point] = ()


class Judge(Protocol):
    """Trains by a recipe and says how good the result is; `base` and `guard` are the base model's own scores."""

    base: float
    guard: float | None

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """One training; its files go to a subfolder `part` of its folders, which may be empty."""
        ...


def judge_of(run: Run, folder: Path, sources: StageFolders) -> Judge:
    """The dev split where there is one, else cross-validation."""
    return (HeldOut if run.collection.positives("dev") else CrossValidated)(run, folder, sources)


class HeldOut:
    """One training, judged by the dev split: the best checkpoint, then the best point on the line to base."""

    def __init__(self, run: Run, folder: Path, sources: StageFolders) -> None:
        self.run, self.folder = run, folder
        self.dev = _dev_set(run, run.collection, _lexical(run, "dev"), DEV_POOL, run.recipe.train.evaluations)
        say(f"dev: {len(self.dev.queries)} queries, searched in {len(self.dev.passages):,} of {len(run.passages):,}")
        self.material = material_of(run, run.collection, sources)
        self.guard_set = guard_set(run.recipe.guard)
        found = DevEvaluator(self.dev, folder / "dev", self.guard_set)(run.base_model, steps=0)
        self.base, self.guard = found[PRIMARY], found.get(GUARD)
        self.first = taught_by_written(run, folder / SCRATCH / WRITTEN, sources)

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """Train, with early stopping, and go back towards base as far as dev and guard say."""
        scores, guard = self.folder / "dev" / part, self.run.recipe.guard
        evaluator = DevEvaluator(self.dev, scores, self.guard_set)
        places = self.folder / SCRATCH / part, self.folder / REFRESH / part
        model, before, trained = train_once(self.run, self.material, evaluator, train, moe, *places, self.first)
        if not trained.best_step:
            return Trial(model, trained, self.base, self.guard)
        if not guard.interpolate:
            found = read_json(scores / f"{trained.best_step}.json")["means"]
            return Trial(model, trained, found[PRIMARY], found.get(GUARD))
        lines = DevEvaluator(self.dev, scores / "shares", self.guard_set)

        def score(share: float) -> tuple[float, float | None]:
            found = lines(model, steps=round(100 * share))
            return found[PRIMARY], found.get(GUARD)

        share, line = interpolate(model, before, score, guard.shares, _floor(self.run, self.guard))
        return _on_line(self.run, model, trained, Point(0.0, self.base, self.guard), share, line)


class CrossValidated:
    """One training on each fold's rest tells what to expect, point by point on the line; the last takes all queries.

    Points are judged by the queries of all folds together, each by the model that has not seen it, and by the guard of
    the last model itself. Trainings run to their end: a fold's few queries are too few to stop at.
    """

    def __init__(self, run: Run, folder: Path, sources: StageFolders) -> None:
        self.run, self.folder, self.sources = run, folder, sources
        self.folds = folds(run.collection, run.recipe.seed)
        self.shares = run.recipe.guard.shares if run.recipe.guard.interpolate else (1.0,)
        lexical = _lexical(run, "train")
        self.sets = [_dev_set(run, fold, lexical, FOLD_POOL, len(self.shares)) for fold in self.folds]
        self.guard_set = guard_set(run.recipe.guard)
        self.guard = self._guarded(PackedEncoder(run.base_model))
        self.took: list[float] = []  # seconds of each fold that was trained
        self.base = self._pooled([ndcg_on(run.base_encoder, dev) for dev in self.sets])
        queries = len(run.collection.positives("train"))
        say(
            f"{queries} queries are too few for a dev split: {len(self.folds)}-fold cross-validation, then all, "
            f"{len(self.folds) + 1} trainings in all"
        )
        self.first = taught_by_written(run, folder / SCRATCH / WRITTEN, sources)

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """Train on each fold's rest, then on everything, and go as far from base as the folds and the guard say."""
        scratch, scores = (self.folder / place / part for place in (SCRATCH, "dev"))
        lines = [self._fold(at, scores, scratch, train, moe) for at in range(len(self.folds))]
        expected = {share: self._pooled([line[share] for line in lines]) for share in self.shares}
        material = material_of(self.run, self.run.collection, self.sources)
        places = scratch / "whole", self.folder / REFRESH / part
        model, before, trained = train_once(self.run, material, None, train, moe, *places, self.first)

        def score(share: float) -> tuple[float, float | None]:
            return expected[share], self._guarded(PackedEncoder(model))

        share, line = interpolate(model, before, score, self.shares, _floor(self.run, self.guard))
        return _on_line(self.run, model, trained, Point(0.0, self.base, self.guard), share, line)

    def _fold(self, at: int, scores: Path, scratch: Path, train: TrainConfig, moe: MoEConfig) -> dict[float, float]:
        """Score of each share on one fold's queries, kept as `fold-N.json` in `scores`."""
        kept, fold, dev = scores / f"fold-{at + 1}.json", self.folds[at], self.sets[at]
        if not kept.exists():
            say(f"fold {at + 1} of {len(self.folds)}: train on {len(fold.positives('train'))} queries{self._left(at)}")
            began = time.monotonic()
            material = material_of(self.run, fold, self.sources)
            places = scratch / f"fold-{at + 1}", scratch / f"fold-{at + 1}" / REFRESH
            model, before, _ = train_once(self.run, material, None, train, moe, *places, self.first)
            _, line = interpolate(
                model, before, lambda _: (ndcg_on(PackedEncoder(model), dev), None), self.shares, None
            )
            write_json(kept, [asdict(point) for point in line])
            self.took.append(time.monotonic() - began)
        return {point["share"]: point["dev"] for point in read_json(kept)}

    def _left(self, at: int) -> str:
        """How long all trainings to come will take, by the folds before."""
        seconds = (len(self.folds) + 1 - at) * float(np.mean(self.took)) if self.took else 0.0
        return f", about {max(1, round(seconds / 60))} min left for all trainings" if seconds else ""

    def _pooled(self, scores: Sequence[float]) -> float:
        """Mean over the queries of all folds, from each fold's mean."""
        return float(np.average(scores, weights=[len(dev.queries) for dev in self.sets]))

    def _guarded(self, encoder: Encoder) -> float | None:
        return None if self.guard_set is None else ndcg_on(encoder, self.guard_set)


def _lexical(run: Run, split: str) -> Ranking:
    queries = {query: run.collection.queries[query] for query in run.collection.positives(split)}
    return retrieve_lexically(queries, run.passages, HARD)


def _dev_set(run: Run, collection: Collection, lexical: Ranking, bounds: range, evaluations: int) -> DevSet:
    rng = np.random.default_rng([run.recipe.seed, POOL_SEED])
    return dev_set(collection, lexical, rng, dev_budget(collection, run.recipe.train, bounds, evaluations))


def dev_budget(collection: Collection, train: TrainConfig, bounds: range, evaluations: int) -> int:
    """Characters of the dev pool: all dev evaluations together read half of what the training does, within bounds."""
    read = sum(len(collection.passages[passage].content) for _, passage in training_pairs(collection))
    fair = read * train.epochs * (1 + train.negatives) // (2 * evaluations)
    return max(bounds.start, min(bounds.stop, fair))


def _floor(run: Run, guard: float | None) -> float | None:
    """The lowest guard score that will do; None without a guard or a way back, and where the tuned model is forced."""
    if guard is None or run.force or not run.recipe.guard.interpolate:
        return None
    return guard - run.recipe.guard.budget


def _on_line(
    run: Run, model: "SentenceTransformer", trained: Trained, base: Point, share: float, line: Sequence[Point]
) -> Trial:
    floor = _floor(run, base.guard)
    for point in (base, *line):
        kept = "" if point.guard is None else f", guard {100 * point.guard:.2f}"
        if point.guard is not None and floor is not None and point.guard < floor:
            kept += f": more than {run.recipe.guard.budget * 100:g} lost, over guard.budget, rejected"
        say(f"{point.share:.0%} of the way from base: dev {PRIMARY} {100 * point.dev:.2f}{kept}")
    best = next((point for point in line if point.share == share), base)
    return Trial(model, trained, best.dev, best.guard, share, line)
