"""One training of a run: what it learns from, and the weights that it starts from."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file

from whet.data.split import same_text
from whet.encoder import to_unit_length
from whet.generate.positives import read_positive_queries
from whet.mine.mined import read_mined
from whet.moe.upcycle import upcycle
from whet.records import Collection, PositiveQuery
from whet.run.folder import Run
from whet.stages.train.refresh import refresh_plan_of
from whet.teach.label_file import read_labels
from whet.train.collate import KnownRelevance, Pair
from whet.train.config import PRETRAINING_INTERPOLATION_WEIGHT, TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.interpolate import mix, set_weights
from whet.train.moe_config import MoEConfig
from whet.train.trainer import Trained, TrainingData, train_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

# How the synthetic queries are learned that come before the real ones (docs/LOG.md).
PRETRAINING = {"epochs": 1, "batch_size": 16, "soft_weight": 0.0}
PRETRAINED_FILE = "model.safetensors"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageFolders:
    """Folders of the stages that training learns from."""

    mine: Path
    generate: Path
    teach: Path


@dataclass(frozen=True, slots=True)
class WorkFolders:
    """Where one training writes: checkpoints (deleted after the stage), rounds of re-mining."""

    checkpoints: Path
    refresh: Path


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished training.

    `base_weights` are the base model's parameters by name; empty where no weights are interpolated.
    """

    model: "SentenceTransformer"
    base_weights: "Mapping[str, Tensor]"
    trained: Trained


def train_once(
    run: Run,
    data: TrainingData,
    train: TrainConfig,
    moe: MoEConfig,
    folders: WorkFolders,
    *,
    start_weights: Path | None,
    evaluator: DevEvaluator | None = None,
    floor: float = -math.inf,
) -> Attempt:
    """Train a fresh copy of the base model.

    `start_weights` is a file of weights to start from in place of the base model's
    (`pretrain_on_synthetic`). `floor` is the dev score that a checkpoint must exceed.
    """
    model = _fresh_model(run, train, moe)
    if to_unit_length(model):
        logger.info(
            "the model compares by dot product and is trained by cosine: "
            "the tuned one gives vectors of length 1"
        )
    base_weights = _weights_of(model) if run.recipe.guard.interpolate else {}
    if start_weights is not None:
        pretrained = _fresh_model(run, train, moe, load_file(start_weights))
        set_weights(model, _weights_of(pretrained))
    plan = refresh_plan_of(run, data.collection, train, folders.refresh)
    trained = train_model(model, data, evaluator, train, folders.checkpoints, moe, plan, floor)
    return Attempt(model, base_weights, trained)


def pretrain_on_synthetic(run: Run, folder: Path, sources: StageFolders) -> Path | None:
    """Train on the synthetic queries that are added to real ones; returns a file of weights.

    Every training starts from these weights, so that real queries are learned last. They lie
    between base weights and trained ones, at PRETRAINING_INTERPOLATION_WEIGHT. None where there are
    no such queries.
    The file in `folder` is reused.
    """
    queries = run.synthetic_queries
    if not queries:
        return None
    file = folder / PRETRAINED_FILE
    if file.exists():
        return file
    logger.info(
        f"first, train on the {len(queries):,} synthetic queries; "
        f"interpolation weight {PRETRAINING_INTERPOLATION_WEIGHT}"
    )
    train_split = {query.query_id: {query.passage_id: 1} for query in queries}
    qrels = {**run.collection.qrels, "train": train_split}
    synthetic_only = replace(run.training_collection, qrels=qrels)
    model = run.fresh_model()
    to_unit_length(model)
    base_weights = _weights_of(model)
    data = training_data_of(run, synthetic_only, sources)
    train_model(model, data, None, _pretraining_config(run), folder)
    mix(model, base_weights, _weights_of(model), PRETRAINING_INTERPOLATION_WEIGHT)
    unfinished = folder / "half.safetensors"
    save_file(_weights_of(model), unfinished)
    unfinished.replace(file)
    return file


def _pretraining_config(run: Run) -> TrainConfig:
    """The recipe's training, shorter, and of the dense layers where experts come later."""
    train = run.recipe.train
    parts = [run.recipe.moe.site if part == "moe" else part for part in train.train_only.split("+")]
    changes = {
        "train_only": "+".join(dict.fromkeys(parts)),
        "learning_rate": train.peak_learning_rate,
    }
    return train.model_copy(update=PRETRAINING | changes)


def _fresh_model(
    run: Run, train: TrainConfig, moe: MoEConfig, weights: "Mapping[str, Tensor] | None" = None
) -> "SentenceTransformer":
    """The base model, or the same with other weights, with the experts that a training asks for."""
    model = run.fresh_model()
    set_weights(model, weights or {})
    if moe.experts:
        upcycle(model, moe.layers, moe.site, moe.experts, moe.top_k, moe.router, seed=train.seed)
    return model


def _weights_of(model: "SentenceTransformer") -> "dict[str, Tensor]":
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def training_data_of(run: Run, collection: Collection, sources: StageFolders) -> TrainingData:
    """What a training on the collection's train split learns from.

    The collection is the run's own, or a fold of it. Nothing of its dev queries is in the result.
    """
    train = run.recipe.train
    negatives: dict[str, tuple[str, ...]] = {}
    for query in read_mined(sources.mine / "negatives.jsonl"):
        used = query.negatives[: train.negatives]
        negatives[query.query_id] = tuple(negative.passage_id for negative in used)
    pairs = [
        Pair(query, passage, negatives.get(query, ()))
        for query, passage in collection.pairs("train")
    ]
    positive_queries = read_positive_queries(sources.generate / "queries.jsonl")
    labels = read_labels(sources.teach) if train.taught else {}
    known = KnownRelevance.of(collection, _not_in_dev(positive_queries, collection), labels)
    return TrainingData(collection, pairs, known)


def _not_in_dev(
    positive_queries: Sequence[PositiveQuery], collection: Collection
) -> list[PositiveQuery]:
    """Positive queries whose text is not that of a dev query."""
    dev_texts = {same_text(collection.queries[query]) for query in collection.positives("dev")}
    return [query for query in positive_queries if same_text(query.text) not in dev_texts]
