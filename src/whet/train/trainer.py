"""One training: pairs and negatives in; the weights of a checkpoint in the model, and a log, out.

Thin over `SentenceTransformerTrainer`, which brings AdamW, schedules, checkpoints, trackers and DDP.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from rich.markup import escape
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

from whet.artifacts import read_json
from whet.encoder.layers import blocks
from whet.encoder.precision import autocast_dtype
from whet.errors import ArtifactError, TrainingError
from whet.evaluate.measures import PRIMARY
from whet.losses import ContrastivePenaltyLoss, InfoNCELoss, SoftLabelLoss, SoftPart
from whet.losses.adapters import Packing
from whet.moe.balance import RoutedLoss
from whet.moe.config import MoEConfig
from whet.moe.upcycle import expert_layers
from whet.progress import say
from whet.train.batches import RandomBatchSampler
from whet.train.callbacks import LossWatch, ProgressLine, StopEarly, TakeLast
from whet.train.collate import KnownRelevance, Pair, PairCollator
from whet.train.config import TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.freeze import train_only, without_dropout
from whet.train.prefix import prefix_cache
from whet.train.refresh.callback import Rounds
from whet.train.refresh.plan import RefreshPlan, boundaries

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from whet.records import Collection

_NO_CHECKPOINT = "No checkpoint had been written yet."


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training learns from."""

    collection: "Collection"
    pairs: Sequence[Pair]
    knowledge: KnownRelevance


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did: parameter counts, the step it took the weights of, if dev stopped it, the trainer's log."""

    trained_parameters: int
    total_parameters: int
    best_step: int
    stopped_early: bool
    log: list[dict[str, float]]


def train_model(
    model: "SentenceTransformer",
    material: TrainingData,
    evaluator: DevEvaluator | None,
    config: TrainConfig,
    folder: Path,
    moe: MoEConfig | None = None,
    plan: RefreshPlan | None = None,
    floor: float = -math.inf,
) -> Trained:
    """Train `model` in place and leave in it the last weights, or those of the best checkpoint (`TakeLast`).

    Without an evaluator training goes on to its end, and the last weights stay. If there are complete checkpoints in
    `folder`, it goes on from the newest. `moe` weighs the experts' losses, `plan` has negatives mined anew.

    Raises TrainingError when going on would be worthless, naming the newest good checkpoint; it stays in `folder`.
    """
    trained, total = train_only(model, config.train_only)
    say(
        f"train {trained:,} of {total:,} parameters ({config.train_only}), learning rate {config.peak_learning_rate:g}"
    )
    if not config.dropout:
        without_dropout(model)
    collator = PairCollator(model, material.collection, material.knowledge)
    steps, autocast = (
        _steps(config, len(material.pairs)),
        autocast_dtype(config.precision, model.device),
    )
    at = boundaries(plan, steps, config.epochs, config.evaluations) if plan else []
    trainer = _Trainer(
        model=model,
        args=_arguments(config, material, folder, moe, watched=evaluator is not None),
        train_dataset=_dataset(material.pairs),
        evaluator=evaluator,
        data_collator=_Rows(),
        loss=_loss(model, config, moe),
        callbacks=[
            line := ProgressLine(),
            *_watchers(evaluator, config, floor),
            *(rounds := _rounds(plan, collator, material.pairs, at, autocast)),
        ],
    )
    trainer.line, trainer.watch, trainer.collate = line, LossWatch(), collator
    trainer.contrastive_share = 1 - config.penalty_weight if config.loss == "clp" else 1.0
    for noisy in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(noisy)
    if (last := newest_checkpoint(folder)) is not None:
        say(f"go on from {escape(last)}")
    try:
        with _prefix(
            model, material, config, 0 if plan and plan.config.background else len(at), folder
        ):
            trainer.train(resume_from_checkpoint=last)
    except TrainingError as error:
        good = newest_checkpoint(folder)
        raise TrainingError(
            f"{error} {f'The last good checkpoint is {good}.' if good else _NO_CHECKPOINT}"
        ) from error
    finally:
        for opened in (line, *rounds):
            opened.close()
    state = trainer.state
    best = (state.best_global_step or 0) if evaluator else state.global_step
    callbacks = (
        trainer.callback_handler.callbacks
    )  # a resumed trainer has made its own from the checkpoint
    stopped = any(isinstance(one, StopEarly) and one.stopped for one in callbacks)
    return Trained(trained, total, best, stopped, state.log_history)


def _watchers(
    evaluator: DevEvaluator | None, config: TrainConfig, floor: float
) -> list[TrainerCallback]:
    """What dev scores decide: when to stop, and which checkpoint stays."""
    if evaluator is None:
        return []
    return [StopEarly(early_stopping_patience=config.patience), TakeLast(evaluator, floor, config.seed)]


def _rounds(
    plan: RefreshPlan | None,
    collator: PairCollator,
    pairs: Sequence[Pair],
    at: Sequence[int],
    autocast: torch.dtype | None,
) -> list[Rounds]:
    """What mines anew on the way."""
    return [Rounds(plan, collator, pairs, at, autocast)] if plan and at else []


def _prefix(
    model: "SentenceTransformer",
    material: TrainingData,
    config: TrainConfig,
    refreshes: int,
    folder: Path,
) -> AbstractContextManager[None]:
    """The cache of frozen lower layers, where it may be and pays."""
    if config.prefix_cache == "off":
        return nullcontext()
    collection = material.collection
    texts = {collection.queries[pair.query_id] for pair in material.pairs}
    for pair in material.pairs:
        texts.update(
            collection.passages[one].content for one in (pair.positive_id, *pair.negative_ids)
        )
    if refreshes:
        texts.update(passage.content for passage in collection.passages.values())
    return prefix_cache(model, sorted(texts), config.epochs + refreshes, folder)


class _Rows:
    """Lets rows through as they are: batches are fetched ahead, and a row's negatives may change before its step."""

    valid_label_columns = ("label",)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {"rows": rows}


class _Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """Counts tokens and watches the loss; leaves out the model card's statistics, whose columns here are ids."""

    line: ProgressLine
    watch: LossWatch
    collate: PairCollator
    contrastive_share: float

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        self.line.tokens += sum(
            int(v.sum()) for name, v in inputs.items() if name.endswith("attention_mask")
        )
        return super().compute_loss(model, inputs, *args, **kwargs)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        inputs = self.collate(inputs["rows"])
        labels = inputs["label"]
        parts = self.accum_loss_components["train"]
        before = parts.get("contrastive", 0.0)
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)
        share = self.contrastive_share
        contrastive = (
            float(parts["contrastive"] - before) / share
            if "contrastive" in parts and share
            else None
        )
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


def _loss(
    model: "SentenceTransformer", config: TrainConfig, moe: MoEConfig | None
) -> torch.nn.Module:
    kept, autocast = (
        graph_tokens(model, config.memory_mb),
        autocast_dtype(config.precision, model.device),
    )
    packing = Packing(graph_tokens=kept, autocast=autocast)
    soft = SoftPart(config.soft_weight or 1.0, config.soft_loss) if config.taught else None
    loss: InfoNCELoss
    if config.loss == "clp":
        loss = ContrastivePenaltyLoss(
            model, config.temperature, config.penalty_weight, packing=packing, soft=soft
        )
    else:
        made = InfoNCELoss if config.loss == "infonce" else SoftLabelLoss
        loss = made(model, config.temperature, packing=packing, soft=soft)
    return RoutedLoss(model, loss, moe.balance, moe.z) if moe and expert_layers(model) else loss


def _steps(config: TrainConfig, pairs: int) -> int:
    return -(-pairs // config.batch_size) * config.epochs


def _arguments(
    config: TrainConfig,
    material: TrainingData,
    folder: Path,
    moe: MoEConfig | None,
    *,
    watched: bool,
) -> SentenceTransformerTrainingArguments:
    every = max(1, -(-_steps(config, len(material.pairs)) // config.evaluations))
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.peak_learning_rate,
        learning_rate_mapping={r"\.gate$": moe.learning_rate} if moe and moe.learning_rate else {},
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup,
        lr_scheduler_type="linear",
        batch_sampler=RandomBatchSampler,
        eval_strategy="steps" if watched else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=watched,
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model=f"eval_{PRIMARY}",
        greater_is_better=True,
        logging_steps=max(1, min(10, every)),
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        report_to=list(config.trackers) or "none",
        seed=config.seed,
        data_seed=config.seed,
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def graph_tokens(model: "SentenceTransformer", memory_mb: int) -> int | None:
    """Tokens whose activations fit into `memory_mb`: some 18 float32 vectors of the hidden size per layer and token.

    None for a model without a transformer, which keeps next to nothing.
    """
    config = getattr(model, "config", None)
    if config is None:
        return None
    return max(1, memory_mb * 2**20 // (18 * 4 * int(config.hidden_size) * len(blocks(model))))


def newest_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written whole: the trainer writes its state last."""
    found = sorted(
        folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True
    )
    for path in found:
        try:
            read_json(path / TRAINER_STATE_NAME)
        except ArtifactError:
            continue
        return str(path)
    return None
