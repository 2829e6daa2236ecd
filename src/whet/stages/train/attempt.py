"""One training of a run: what it learns from, what it starts from, and how negatives are mined anew on the way."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import load_file, save_file

from whet.data.split import same_text
from whet.encoder.packed import to_unit_length
from whet.generate.positives import read_positive_queries
from whet.mine.mined import read_mined
from whet.moe.upcycle import upcycle
from whet.progress import say
from whet.records import Collection
from whet.run.folder import Run
from whet.search.bm25 import Bm25
from whet.search.dense import top_k
from whet.stages.generate import positives_finder
from whet.teach.label_file import read_labels
from whet.train.collate import KnownRelevance, Pair
from whet.moe.config import MoEConfig
from whet.train.config import PRETRAINING_INTERPOLATION_WEIGHT, TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.interpolate import mix, set_weights
from whet.train.refresh.plan import RefreshPlan
from whet.train.trainer import TrainingData, Trained, train_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

BY_MODEL = ("ance", "mix")  # strategies of mining that a model's weights decide
FIRST = {
    "epochs": 1,
    "batch_size": 16,
    "soft_weight": 0.0,
}  # how what was written is learned (docs/LOG.md)


@dataclass(frozen=True, slots=True)
class StageFolders:
    """Folders of the stages that training learns from."""

    mine: Path
    generate: Path
    teach: Path


def train_once(
    run: Run,
    material: TrainingData,
    evaluator: DevEvaluator | None,
    train: TrainConfig,
    moe: MoEConfig,
    scratch: Path,
    refresh: Path,
    first: Path | None,
    floor: float = -math.inf,
) -> "tuple[SentenceTransformer, Mapping[str, Tensor], Trained]":
    """The trained model, base's weights, where the way back is to be walked, and what was done.

    Files go to `scratch` and `refresh`; `first` are weights to start from instead of base's (`pretrain_on_synthetic`).
    """
    model = _fresh(run, train, moe)
    if to_unit_length(model):
        say(
            "the model compares by dot products and is trained by cosines: the tuned one gives vectors of length 1"
        )
    before = _parameters(model) if run.recipe.guard.interpolate else {}
    if first is not None:
        set_weights(model, _parameters(_fresh(run, train, moe, load_file(first))))
    plan = refresh_plan_of(run, material.collection, train, refresh)
    return model, before, train_model(
        model, material, evaluator, train, scratch, moe, plan, floor
    )


def pretrain_on_synthetic(run: Run, scratch: Path, sources: StageFolders) -> Path | None:
    """Weights that have learned from the queries written beside those asked: a file, made where it is not there.

    Every training starts from them, so that what was asked has the last word. None where nothing was written.
    """
    kept = scratch / "model.safetensors"
    if not run.written or kept.exists():
        return kept if run.written else None
    say(
        f"first, train on the {len(run.written):,} written queries and go {PRETRAINING_INTERPOLATION_WEIGHT:.0%} of that way"
    )
    written = {row["query_id"]: {row["passage_id"]: 1} for row in run.written}
    alone = replace(run.augmented, qrels={**run.collection.qrels, "train": written})
    train = run.recipe.train
    parts = dict.fromkeys(
        run.recipe.moe.site if part == "moe" else part for part in train.train_only.split("+")
    )
    train = train.model_copy(
        update=FIRST | {"train_only": "+".join(parts), "learning_rate": train.peak_learning_rate}
    )
    model = run.fresh_model()
    to_unit_length(model)
    before = _parameters(model)
    train_model(model, training_data_of(run, alone, sources), None, train, scratch)
    mix(model, before, _parameters(model), PRETRAINING_INTERPOLATION_WEIGHT)
    save_file(_parameters(model), half := scratch / "half.safetensors")
    half.replace(kept)
    return kept


def _fresh(
    run: Run, train: TrainConfig, moe: MoEConfig, weights: "Mapping[str, Tensor] | None" = None
) -> "SentenceTransformer":
    """The base model, or the same with other weights, with the experts that a training asks for."""
    model = run.fresh_model()
    set_weights(model, weights or {})
    if moe.experts:
        upcycle(
            model,
            moe.layers,
            moe.site,
            moe.experts,
            moe.top_k,
            moe.router,
            seed=train.seed,
        )
    return model


def _parameters(model: "SentenceTransformer") -> "dict[str, Tensor]":
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def why_not_refresh(run: Run) -> str:
    """Why mining anew would make no sense for a run's training; "" where it would."""
    train = run.recipe.train
    if not train.negatives:
        return "train.negatives is 0: there are no mined negatives"
    if run.recipe.mine.strategy not in BY_MODEL:
        return (
            f"mine.strategy is {run.recipe.mine.strategy}, which the model's weights do not change"
        )
    return (
        "train.loss is soft, and teachers have no labels for new negatives"
        if train.loss == "soft"
        else ""
    )


def refresh_plan_of(
    run: Run, collection: Collection, train: TrainConfig, folder: Path
) -> RefreshPlan | None:
    """What mining anew needs, for the run's collection or a fold of it; None where negatives stay as they are."""
    config = run.recipe.refresh
    if config.off or why_not_refresh(run):
        return None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        say("[yellow]negatives are not mined anew: training runs in several processes[/yellow]")
        return None
    texts = [collection.queries[query] for query in collection.positives("train")]
    passages = list(run.passages.values())
    queries, vectors = (
        run.base_encoder.encode_queries(texts),
        run.base_encoder.encode_passages(passages),
    )
    first = top_k(queries, vectors, run.recipe.mine.skip + config.depth).indices
    if run.recipe.mine.strategy == "mix" and config.cost != "full":
        first = np.concatenate([first, Bm25(passages).top_k(texts, first.shape[1]).indices], axis=1)
    penalised = train.loss == "clp" and train.penalty_weight > 0
    finder = cache(
        lambda: positives_finder(run, collection, ask=config.generate)
    )  # made when it is first needed
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


def training_data_of(run: Run, collection: Collection, sources: StageFolders) -> TrainingData:
    """What a training on the collection's train split learns from.

    The collection is the run's own, or a part of it: nothing of its dev queries is in what comes out.
    """
    train = run.recipe.train
    mined = {
        query.query_id: tuple(
            negative.passage_id for negative in query.negatives[: train.negatives]
        )
        for query in read_mined(sources.mine / "negatives.jsonl")
    }
    pairs = [
        Pair(query, passage, mined.get(query, ())) for query, passage in collection.pairs("train")
    ]
    unseen = {same_text(collection.queries[query]) for query in collection.positives("dev")}
    stars = read_positive_queries(sources.generate / "queries.jsonl")
    found = [star for star in stars if same_text(star.text) not in unseen]
    labels: dict[str, dict[str, float]] = read_labels(sources.teach) if train.taught else {}
    knowledge = KnownRelevance.of(collection, found, labels)
    return TrainingData(collection, pairs, knowledge)
