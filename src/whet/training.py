"""The train stage: one training, or several of which the one that does best on dev is kept."""

from collections.abc import Mapping
from dataclasses import asdict
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
from whet.train.dev import DevEvaluator, DevSet, dev_set
from whet.train.freeze import modules_of
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
    DevEvaluator(dev, folder / "dev")(run.base_model, steps=0)
    base = _score(folder / "dev" / "0.json")
    trials = run.recipe.trials()
    found: dict[str, tuple[float, Trained]] = {}
    for name, (train, moe) in trials.items():
        several = len(trials) > 1
        if several:
            say(f"trial {len(found) + 1} of {len(trials)}: {name}")
        scratch, scores = ((folder / part / name if several else folder / part) for part in (SCRATCH, "dev"))
        model, trained = _trial(run, dev, material, train, moe, scratch, scores)
        score = _score(scores / f"{trained.best_step}.json") if trained.best_step else base
        if not found or score > max(best for best, _ in found.values()):
            winner = model
        found[name] = score, trained
    _keep(run, folder, winner, base, found)


def check_trials(run: Run) -> None:
    """Raise ConfigError, before any work is done, when the model does not have what the recipe would train."""
    model = run.base_model
    for train, moe in run.recipe.trials().values():
        if moe.experts:
            to_replace(backbone(model), moe.layers, moe.site)
        for part in train.train_only.split("+"):
            if not (part == "moe" and moe.experts):
                modules_of(model, part)


def _trial(
    run: Run, dev: DevSet, material: Material, train: TrainConfig, moe: MoEConfig, scratch: Path, scores: Path
) -> tuple["SentenceTransformer", Trained]:
    model = run.fresh_model()
    if moe.experts:
        upcycle(model, moe.layers, moe.site, moe.experts, moe.top_k, moe.router, moe.level, seed=train.seed)
    return model, train_model(model, material, DevEvaluator(dev, scores), train, scratch, moe)


def _keep(
    run: Run, folder: Path, model: "SentenceTransformer", base: float, found: Mapping[str, tuple[float, Trained]]
) -> None:
    """Write the best trial's model, or the base model, and what was done."""
    name = max(found, key=lambda trial: found[trial][0])
    best, trained = found[name]
    kept = "tuned" if run.force or best > base else "base"
    say(f"dev {PRIMARY}: base {100 * base:.2f}, best {100 * best:.2f} at step {trained.best_step}")
    if len(found) > 1:
        say("; ".join(f"{trial} {100 * score:.2f}" for trial, (score, _) in found.items()) + f": {name} it is")
    if kept == "base":
        say("[yellow]nothing got better on dev: the base model stays the result (--force keeps the other)[/yellow]")
    write_jsonl(folder / "log.jsonl", trained.log)
    done = {k: v for k, v in asdict(trained).items() if k != "log"}
    trials = {
        trial: {"dev": score, "trained_parameters": one.trained_parameters, "best_step": one.best_step}
        for trial, (score, one) in found.items()
    }
    write_json(
        folder / "result.json",
        done | {"kept": kept, "dev_base": base, "dev_best": best, "trial": name, "trials": trials},
    )
    (model if kept == "tuned" else run.base_model).save_pretrained(str(folder / "model"), create_model_card=False)


def _score(path: Path) -> float:
    return float(read_json(path)["means"][PRIMARY])


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
