"""The train stage: one training, or several of which the one that does best on dev is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whet.artifacts import SCRATCH, read_json, write_json, write_jsonl
from whet.evaluate.measures import PRIMARY
from whet.evaluate.retrieve import retrieve
from whet.generate.positives import read_positive_queries
from whet.mine.likely import read_likely
from whet.mine.mined import read_mined
from whet.moe.upcycle import backbone, to_replace, upcycle
from whet.progress import say
from whet.recipe import Recipe
from whet.records import Collection
from whet.run import Run, training_pairs
from whet.teach.lesson import read_labels
from whet.train.collate import Knowledge, Pair
from whet.train.config import MoEConfig, TrainConfig
from whet.train.dev import GUARD, DevEvaluator, dev_set
from whet.train.freeze import modules_of
from whet.train.guard import PYDOC, Point, guard_set, interpolate
from whet.train.trainer import Material, Trained, train_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEV_POOL_SEED = 1
DEV_POOL = range(100_000, 500_000)  # characters; 500,000 are some 100,000 tokens, 20 s on two cores


def write_training(run: Run, folder: Path, *, mine: Path, generate: Path, teach: Path) -> None:
    """Train by every trial of the recipe and leave in `folder` the model to keep, its log, and all dev scores.

    What is kept is decided here and nowhere else: the trial that does best on dev, or the base model when none beats it
    there, unless the run is told to keep the trained one.
    """
    queries = {query: run.collection.queries[query] for query in run.collection.positives("dev")}
    ranking = retrieve(run.base_encoder, queries, run.passages)
    rng = np.random.default_rng([run.recipe.seed, DEV_POOL_SEED])
    dev = dev_set(run.collection, ranking, rng, dev_budget(run.collection, run.recipe))
    say(f"dev: {len(dev.queries)} queries, searched in {len(dev.passages):,} of {len(run.passages):,} passages")
    material = _material(run, mine, generate, teach)
    guard = guard_set(run.recipe.guard)
    DevEvaluator(dev, folder / "dev", guard)(run.base_model, steps=0)
    base = _scores(folder / "dev" / "0.json")
    trials = run.recipe.trials()
    found: dict[str, Trial] = {}
    for name, (train, moe) in trials.items():
        several = len(trials) > 1
        if several:
            say(f"trial {len(found) + 1} of {len(trials)}: {name}")
        scratch, scores = ((folder / part / name if several else folder / part) for part in (SCRATCH, "dev"))
        trial = _trial(run, DevEvaluator(dev, scores, guard), material, train, moe, scratch, base)
        if not found or trial.score > max(one.score for one in found.values()):
            winner = trial.model
        found[name] = replace(trial, model=None)
    _keep(run, folder, winner, base, found)


def check_trials(run: Run) -> None:
    """Raise, before any work is done, when the model lacks what the recipe would train or its guard cannot be read.

    ConfigError, or DataError with every fault of the guard's data.
    """
    model = run.base_model
    if run.recipe.guard.data != PYDOC:
        guard_set(run.recipe.guard)
    for train, moe in run.recipe.trials().values():
        if moe.experts:
            to_replace(backbone(model), moe.layers, moe.site)
        for part in train.train_only.split("+"):
            if not (part == "moe" and moe.experts):
                modules_of(model, part)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: its model, what it did, the score on dev, and how far it went from base on which line."""

    model: "SentenceTransformer | None"
    trained: Trained
    score: float
    share: float = 1.0
    line: Sequence[Point] = ()


def _trial(
    run: Run,
    evaluator: DevEvaluator,
    material: Material,
    train: TrainConfig,
    moe: MoEConfig,
    scratch: Path,
    base: Mapping[str, float],
) -> Trial:
    model, guard = run.fresh_model(), run.recipe.guard
    if moe.experts:
        upcycle(model, moe.layers, moe.site, moe.experts, moe.top_k, moe.router, moe.level, seed=train.seed)
    before = {name: value.detach().clone() for name, value in model.named_parameters()} if guard.interpolate else {}
    trained = train_model(model, material, evaluator, train, scratch, moe)
    if not trained.best_step:
        return Trial(model, trained, base[PRIMARY])
    if not guard.interpolate:
        return Trial(model, trained, _scores(evaluator.folder / f"{trained.best_step}.json")[PRIMARY])
    lines = DevEvaluator(evaluator.dev, evaluator.folder / "shares", evaluator.guard)

    def score(share: float) -> tuple[float, float | None]:
        found = lines(model, steps=round(100 * share))
        kept = "" if GUARD not in found else f", guard {100 * found[GUARD]:.2f}"
        say(f"{share:.0%} of the way from base: dev {PRIMARY} {100 * found[PRIMARY]:.2f}{kept}")
        return found[PRIMARY], found.get(GUARD)

    floor = base[GUARD] - guard.budget if GUARD in base else None
    share, line = interpolate(model, before, score, guard.shares, floor)
    best = next((point.dev for point in line if point.share == share), base[PRIMARY])
    return Trial(model, trained, best, share, line)


def _keep(
    run: Run,
    folder: Path,
    model: "SentenceTransformer | None",
    base: Mapping[str, float],
    found: Mapping[str, Trial],
) -> None:
    """Write the best trial's model, or the base model, and what was done."""
    name = max(found, key=lambda trial: found[trial].score)
    best = found[name]
    kept = "tuned" if run.force or best.score > base[PRIMARY] else "base"
    way = f", {best.share:.0%} of the way from base" if best.line else ""
    say(
        f"dev {PRIMARY}: base {100 * base[PRIMARY]:.2f}, best {100 * best.score:.2f} "
        f"at step {best.trained.best_step}{way}"
    )
    if len(found) > 1:
        say("; ".join(f"{trial} {100 * one.score:.2f}" for trial, one in found.items()) + f": {name} it is")
    if kept == "base":
        say("[yellow]nothing got better on dev: the base model stays the result (--force keeps the other)[/yellow]")
    write_jsonl(folder / "log.jsonl", best.trained.log)
    trials = {
        trial: {
            "dev": one.score,
            "trained_parameters": one.trained.trained_parameters,
            "best_step": one.trained.best_step,
        }
        for trial, one in found.items()
    }
    done = {k: v for k, v in asdict(best.trained).items() if k != "log"}
    result = {"kept": kept, "dev_base": base[PRIMARY], "dev_best": best.score, "trial": name, "trials": trials}
    guarded = {"guard_base": base[GUARD]} if GUARD in base else {}
    way_back = {"share": best.share, "line": [asdict(point) for point in best.line]} if best.line else {}
    write_json(folder / "result.json", done | result | guarded | way_back)
    chosen = model if kept == "tuned" and model is not None else run.base_model
    chosen.save_pretrained(str(folder / "model"), create_model_card=False)


def _scores(path: Path) -> dict[str, float]:
    found: dict[str, float] = read_json(path)["means"]
    return found


def dev_budget(collection: Collection, recipe: Recipe) -> int:
    """Characters of the dev pool: all dev evaluations together read half of what the training does, within bounds."""
    read = sum(len(collection.passages[passage].content) for _, passage in training_pairs(collection))
    fair = read * recipe.train.epochs * (1 + recipe.train.negatives) // (2 * recipe.train.evaluations)
    return max(DEV_POOL.start, min(DEV_POOL.stop, fair))


def _material(run: Run, mine: Path, generate: Path, teach: Path) -> Material:
    count = run.recipe.train.negatives
    mined = {
        query.query_id: tuple(negative.passage_id for negative in query.negatives[:count])
        for query in read_mined(mine / "negatives.jsonl")
    }
    pairs = [Pair(query, passage, mined.get(query, ())) for query, passage in training_pairs(run.collection)]
    found = read_positive_queries(generate / "queries.jsonl")
    near = np.load(mine / "neighbours.npy", allow_pickle=False)
    likely = read_likely(mine / "likely.jsonl") if run.recipe.train.mask_likely else {}
    labels = read_labels(teach) if run.recipe.train.taught else {}
    return Material(run.collection, pairs, Knowledge.of(run.collection, found, likely, labels), near)
