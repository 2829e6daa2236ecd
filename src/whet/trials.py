"""How a training is judged: on the dev split, or by cross-validation where there are too few queries for one."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from whet.artifacts import SCRATCH, read_json, write_json
from whet.data.split import folds, same_text
from whet.encode import PackedEncoder, to_unit_length
from whet.evaluate.measures import PRIMARY
from whet.evaluate.retrieve import retrieve_lexically
from whet.generate.positives import read_positive_queries
from whet.generating import positives_finder
from whet.mine.likely import read_likely
from whet.mine.mined import read_mined
from whet.mine.neighbours import of_rows
from whet.moe.upcycle import upcycle
from whet.progress import say
from whet.records import Collection, Encoder, Ranking
from whet.run import Run, training_pairs
from whet.search import top_k
from whet.teach.label_file import read_labels
from whet.train.collate import Knowledge, Pair
from whet.train.config import MoEConfig, TrainConfig
from whet.train.dev import GUARD, HARD, DevEvaluator, DevSet, dev_set, ndcg_on
from whet.train.guard import Point, guard_set, interpolate
from whet.train.refresh_plan import RefreshPlan
from whet.train.trainer import Material, Trained, train_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

POOL_SEED = 1
REFRESH = "refresh"
BY_MODEL = ("ance", "mix")  # strategies of mining that a model's weights decide
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


@dataclass(frozen=True, slots=True)
class StageFolders:
    """Folders of the stages that training learns from."""

    mine: Path
    generate: Path
    teach: Path


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

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """Train, with early stopping, and go back towards base as far as dev and guard say."""
        scores, guard = self.folder / "dev" / part, self.run.recipe.guard
        evaluator = DevEvaluator(self.dev, scores, self.guard_set)
        places = self.folder / SCRATCH / part, self.folder / REFRESH / part
        model, before, trained = _train(self.run, self.material, evaluator, train, moe, *places)
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

    def trial(self, part: str, train: TrainConfig, moe: MoEConfig) -> Trial:
        """Train on each fold's rest, then on everything, and go as far from base as the folds and the guard say."""
        scratch, scores = (self.folder / place / part for place in (SCRATCH, "dev"))
        lines = [self._fold(at, scores, scratch, train, moe) for at in range(len(self.folds))]
        expected = {share: self._pooled([line[share] for line in lines]) for share in self.shares}
        material = material_of(self.run, self.run.collection, self.sources)
        places = scratch / "whole", self.folder / REFRESH / part
        model, before, trained = _train(self.run, material, None, train, moe, *places)

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
            model, before, _ = _train(self.run, material, None, train, moe, *places)
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


def _train(
    run: Run,
    material: Material,
    evaluator: DevEvaluator | None,
    train: TrainConfig,
    moe: MoEConfig,
    scratch: Path,
    refresh: Path,
) -> "tuple[SentenceTransformer, Mapping[str, Tensor], Trained]":
    """The trained model, its weights before, where the way back is to be walked, and what was done."""
    model = run.fresh_model()
    if to_unit_length(model):
        say("the model compares by dot products and is trained by cosines: the tuned one gives vectors of length 1")
    if moe.experts:
        upcycle(model, moe.layers, moe.site, moe.experts, moe.top_k, moe.router, moe.level, seed=train.seed)
    walked = run.recipe.guard.interpolate
    before = {name: value.detach().clone() for name, value in model.named_parameters()} if walked else {}
    plan = refresh_plan_of(run, material.collection, train, refresh)
    return model, before, train_model(model, material, evaluator, train, scratch, moe, plan)


def why_not_refresh(run: Run) -> str:
    """Why mining anew would make no sense for a run's training; "" where it would."""
    train = run.recipe.train
    if not train.negatives:
        return "train.negatives is 0: there are no mined negatives"
    if run.recipe.mine.strategy not in BY_MODEL:
        return f"mine.strategy is {run.recipe.mine.strategy}, which the model's weights do not change"
    return "train.loss is soft, and teachers have no labels for new negatives" if train.loss == "soft" else ""


def refresh_plan_of(run: Run, collection: Collection, train: TrainConfig, folder: Path) -> RefreshPlan | None:
    """What mining anew needs, for the run's collection or a fold of it; None where negatives stay as they are."""
    config = run.recipe.refresh
    if config.off or why_not_refresh(run):
        return None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        say("[yellow]negatives are not mined anew: training runs in several processes[/yellow]")
        return None
    queries = run.base_encoder.encode_queries([collection.queries[query] for query in collection.positives("train")])
    first = top_k(queries, run.base_encoder.encode_passages(list(run.passages.values())), config.depth).indices
    penalised = train.loss == "clp" and train.penalty_weight > 0
    finder = cache(lambda: positives_finder(run, collection, ask=config.generate))  # made when it is first needed
    return RefreshPlan(
        collection,
        run.recipe.mine,
        config,
        train.negatives,
        first,
        lambda mined: finder()(mined)[0] if penalised else [],
        folder,
        train.seed,
    )


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


def material_of(run: Run, collection: Collection, sources: StageFolders) -> Material:
    """What a training on the collection's train split learns from.

    The collection is the run's own, or a fold of it: nothing of its dev queries is in what comes out.
    """
    train = run.recipe.train
    mined = {
        query.query_id: tuple(negative.passage_id for negative in query.negatives[: train.negatives])
        for query in read_mined(sources.mine / "negatives.jsonl")
    }
    own = training_pairs(collection)
    pairs = [Pair(query, passage, mined.get(query, ())) for query, passage in own]
    place = {pair: row for row, pair in enumerate(training_pairs(run.collection))}
    unseen = {same_text(collection.queries[query]) for query in collection.positives("dev")}
    stars = read_positive_queries(sources.generate / "queries.jsonl")
    found = [star for star in stars if same_text(star.text) not in unseen]
    likely = read_likely(sources.mine / "likely.jsonl") if train.mask_likely else {}
    labels: dict[str, dict[str, float]] = read_labels(sources.teach) if train.taught else {}
    knowledge = Knowledge.of(collection, found, likely, labels)
    near = None
    if train.batches == "neighbour":
        whole = np.load(sources.mine / "neighbours.npy", allow_pickle=False)
        near = of_rows(whole, [place[pair] for pair in own])
    return Material(collection, pairs, knowledge, near)
