"""One training: pairs and hard negatives in; weights in the model, and a log, out.

Thin over `SentenceTransformerTrainer`, which brings AdamW, schedules, checkpoints, trackers and
DDP.
"""

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import Tensor, nn
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

from whet.encoder.layers import blocks
from whet.encoder.precision import autocast_dtype
from whet.errors import ArtifactError, TrainingError
from whet.evaluate.measures import PRIMARY
from whet.files import read_json
from whet.losses import CollatedLoss, ContrastivePenalty, InfoNCE, Packing, SoftLabels, SoftPart
from whet.losses.objectives import Objective
from whet.moe.balance import RoutedLoss
from whet.moe.upcycle import expert_layers
from whet.train.batches import RandomBatchSampler
from whet.train.callbacks import LossWatch, ProgressLine, StopEarly, TakeLast
from whet.train.collate import KnownRelevance, Pair, PairCollator
from whet.train.config import TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.freeze import train_only, without_dropout
from whet.train.moe_config import MoEConfig
from whet.train.prefix import prefix_cache
from whet.train.refresh.callback import RefreshCallback
from whet.train.refresh.plan import RefreshPlan, boundaries

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from whet.records import Collection

MAX_STEPS_BETWEEN_LOGS = 10
# Float32 vectors of the hidden size that the backward pass keeps for each layer and token, about.
ACTIVATIONS_PER_LAYER = 18

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training learns from."""

    collection: "Collection"
    pairs: Sequence[Pair]
    known: KnownRelevance


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did.

    `best_step` is the step whose weights were taken, 0 where none was. `stopped_early` tells
    whether patience ended the training. `log` is the trainer's.
    """

    trained_parameters: int
    total_parameters: int
    best_step: int
    stopped_early: bool
    log: list[dict[str, float]]


def train_model(
    model: "SentenceTransformer",
    training_data: TrainingData,
    evaluator: DevEvaluator | None,
    config: TrainConfig,
    folder: Path,
    moe: MoEConfig | None = None,
    plan: RefreshPlan | None = None,
    floor: float = -math.inf,
) -> Trained:
    """Train `model` in place; the last weights are left in it, or the best ones (`TakeLast`).

    Args:
        model: the model to train.
        training_data: pairs, their texts and what is known about them.
        evaluator: scores the model on dev. Without one, training runs to its end, and the last
            weights are left.
        config: how to train.
        folder: for checkpoints. If there are complete ones, training goes on from the newest.
        moe: weights of the experts' losses.
        plan: re-mining on the way.
        floor: a dev score that weights must exceed to be preferred to others (`TakeLast`).

    Raises TrainingError when the training is worthless; it names the newest good checkpoint, which
    stays in `folder`.
    """
    trained, total = _freeze(model, config)
    collator = PairCollator(model, training_data.collection, training_data.known)
    progress = ProgressLine()
    refresh = _refresh_callback(plan, collator, training_data.pairs, config)
    callbacks = [progress, *_dev_callbacks(evaluator, config, floor)]
    if refresh is not None:
        callbacks.append(refresh)
    collated_loss = _collated_loss(model, config)
    trainer = _Trainer(
        model=model,
        args=_arguments(config, len(training_data.pairs), folder, moe, evaluator),
        train_dataset=_dataset(training_data.pairs),
        evaluator=evaluator,
        data_collator=_Rows(),
        loss=_with_expert_losses(collated_loss, model, moe),
        callbacks=callbacks,
    )
    trainer.prepare(collator, progress, collated_loss)
    try:
        with _cache(model, training_data, config, refresh, folder):
            trainer.go_on_from(newest_checkpoint(folder))
    except TrainingError as error:
        raise TrainingError(f"{error} {_where_to_go_on(folder)}") from error
    finally:
        progress.close()
        if refresh is not None:
            refresh.close()
    state = trainer.state
    # The trainer has no best step where dev was never scored.
    best_step = state.global_step if evaluator is None else state.best_global_step or 0
    return Trained(trained, total, best_step, trainer.stopped_early, state.log_history)


def _freeze(model: "SentenceTransformer", config: TrainConfig) -> tuple[int, int]:
    """Set what trains; returns the number of trained and of all parameters."""
    trained, total = train_only(model, config.train_only)
    logger.info(
        f"train {trained:,} of {total:,} parameters ({config.train_only}), "
        f"learning rate {config.peak_learning_rate:g}"
    )
    if not config.dropout:
        without_dropout(model)
    return trained, total


def _dev_callbacks(
    evaluator: DevEvaluator | None,
    config: TrainConfig,
    floor: float,
) -> list[TrainerCallback]:
    """What dev scores decide: when to stop, and which checkpoint is taken."""
    if evaluator is None:
        return []
    stop_early = StopEarly(early_stopping_patience=config.patience)
    return [stop_early, TakeLast(evaluator, floor, config.seed)]


def _refresh_callback(
    plan: RefreshPlan | None, collator: PairCollator, pairs: Sequence[Pair], config: TrainConfig
) -> RefreshCallback | None:
    """What re-mines on the way, where that is planned."""
    if plan is None:
        return None
    steps = _steps(config, len(pairs))
    refresh_at = boundaries(plan, steps, config.epochs, config.evaluations)
    if not refresh_at:
        return None
    # Re-mining encodes in the precision of training.
    autocast = autocast_dtype(config.precision, collator.model.device)
    return RefreshCallback(plan, collator, pairs, refresh_at, autocast)


def _cache(
    model: "SentenceTransformer",
    training_data: TrainingData,
    config: TrainConfig,
    refresh: RefreshCallback | None,
    folder: Path,
) -> AbstractContextManager[None]:
    """The cache of frozen lower layers, where it is allowed and pays."""
    if config.prefix_cache == "off":
        return nullcontext()
    collection = training_data.collection
    texts: set[str] = set()
    for pair in training_data.pairs:
        texts.add(collection.queries[pair.query_id])
        passages = (pair.positive_id, *pair.negative_ids)
        texts.update(collection.passages[passage].content for passage in passages)
    passes = config.epochs
    # A second process cannot read the cache.
    if refresh is not None and not refresh.plan.config.background:
        passes += len(refresh.boundaries)
        texts.update(passage.content for passage in collection.passages.values())
    return prefix_cache(model, sorted(texts), passes, folder)


def _where_to_go_on(folder: Path) -> str:
    checkpoint = newest_checkpoint(folder)
    if checkpoint is None:
        return "No checkpoint had been written yet."
    return f"The last good checkpoint is {checkpoint}."


class _Rows:
    """Collates nothing: `_Trainer.training_step` does.

    The trainer fetches a batch ahead, and re-mining may change a row's negatives before its step.
    """

    valid_label_columns = ("label",)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {"rows": rows}


class _Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """Collates rows, counts tokens and watches the loss.

    The model card's statistics are left out: they read texts from columns, which here hold ids.
    """

    collator: PairCollator
    progress: ProgressLine
    watch: LossWatch
    collated_loss: CollatedLoss

    def prepare(
        self, collator: PairCollator, progress: ProgressLine, collated_loss: CollatedLoss
    ) -> None:
        """Set what training needs beyond the trainer's own arguments."""
        self.collator = collator
        self.progress = progress
        self.watch = LossWatch()
        self.collated_loss = collated_loss
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)

    def go_on_from(self, checkpoint: str | None) -> None:
        """Train, from a checkpoint or from the start."""
        if checkpoint is not None:
            logger.info(f"go on from {checkpoint}")
        self.train(resume_from_checkpoint=checkpoint)

    @property
    def stopped_early(self) -> bool:
        """Whether patience ended the training."""
        # A resumed trainer has made callbacks of its own from the checkpoint.
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, StopEarly) and callback.stopped:
                return True
        return False

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        for name, value in inputs.items():
            if name.endswith("attention_mask"):
                self.progress.tokens += int(value.sum())
        return super().compute_loss(model, inputs, *args, **kwargs)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        batch = self.collator(inputs["rows"])
        labels = batch["label"]
        loss: Tensor = super().training_step(model, batch, *args, **kwargs)
        parts = self.collated_loss.last_parts
        contrastive = None
        if parts.weights.get("contrastive"):
            contrastive = float(parts.values["contrastive"])
        self.watch.see(float(loss), contrastive, labels, self.state.global_step + 1)
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and isinstance(self.loss, RoutedLoss):
            logs |= self.loss.use()
        super().log(logs, *args, **kwargs)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        pass


def _dataset(pairs: Sequence[Pair]) -> Dataset:
    return Dataset.from_dict(
        {
            "query_id": [pair.query_id for pair in pairs],
            "positive_id": [pair.positive_id for pair in pairs],
            "negative_ids": [list(pair.negative_ids) for pair in pairs],
        }
    )


def _collated_loss(model: "SentenceTransformer", config: TrainConfig) -> CollatedLoss:
    objectives: list[Objective] = []
    if config.loss == "clp":
        objectives.append(ContrastivePenalty(config.temperature, config.penalty_weight))
    elif config.loss == "infonce":
        objectives.append(InfoNCE(config.temperature))
    if config.taught:
        # With soft labels alone a weight of 0 stands for the default, 1.
        part = SoftPart(config.soft_weight or 1.0, config.soft_loss)
        objectives.append(SoftLabels(config.temperature, part))
    autocast = autocast_dtype(config.precision, model.device)
    packing = Packing(graph_tokens=graph_tokens(model, config.memory_mb), autocast=autocast)
    return CollatedLoss(model, objectives, packing)


def _with_expert_losses(
    loss: CollatedLoss, model: "SentenceTransformer", moe: MoEConfig | None
) -> nn.Module:
    if moe is None or not expert_layers(model):
        return loss
    return RoutedLoss(model, loss, moe.balance, moe.z)


def _steps(config: TrainConfig, pairs: int) -> int:
    return math.ceil(pairs / config.batch_size) * config.epochs


def _arguments(
    config: TrainConfig,
    pairs: int,
    folder: Path,
    moe: MoEConfig | None,
    evaluator: DevEvaluator | None,
) -> SentenceTransformerTrainingArguments:
    every = max(1, math.ceil(_steps(config, pairs) / config.evaluations))
    learning_rates = {}
    if moe is not None and moe.learning_rate is not None:
        learning_rates = {r"\.gate$": moe.learning_rate}
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.peak_learning_rate,
        learning_rate_mapping=learning_rates,  # by a pattern of parameter names
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup,  # below 1 it is a share of all steps
        lr_scheduler_type="linear",
        batch_sampler=RandomBatchSampler,
        eval_strategy="no" if evaluator is None else "steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,  # the newest, and the best
        load_best_model_at_end=evaluator is not None,
        restore_callback_states_from_checkpoint=True,  # patience that is used up stays so
        metric_for_best_model=f"eval_{PRIMARY}",
        greater_is_better=True,
        logging_steps=min(MAX_STEPS_BETWEEN_LOGS, every),
        logging_nan_inf_filter=False,  # the watch must see them
        remove_unused_columns=False,  # columns are ids, which the model does not know
        report_to=list(config.trackers) or "none",
        seed=config.seed,
        data_seed=config.seed,
        disable_tqdm=True,  # `ProgressLine` shows progress
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def graph_tokens(model: "SentenceTransformer", memory_mb: int) -> int | None:
    """Tokens whose activations fit into `memory_mb` megabytes.

    None for a model without a transformer, which has next to none.
    """
    config = getattr(model, "config", None)
    if config is None:
        return None
    bytes_per_layer = ACTIVATIONS_PER_LAYER * 4 * int(config.hidden_size)  # of one token
    bytes_per_token = bytes_per_layer * len(blocks(model))
    return max(1, memory_mb * 2**20 // bytes_per_token)


def newest_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written whole: the trainer writes its state last."""
    checkpoints = sorted(
        folder.glob("checkpoint-*"),
        key=lambda path: int(path.name.split("-")[1]),
        reverse=True,
    )
    for path in checkpoints:
        try:
            read_json(path / TRAINER_STATE_NAME)
        except ArtifactError:
            continue
        return str(path)
    return None
