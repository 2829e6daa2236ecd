"""What watches a training: its loss, its dev scores, which checkpoint is taken, how far it is."""

import logging
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from torch import Tensor
from transformers import (
    EarlyStoppingCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from whet.errors import TrainingError
from whet.evaluate.measures import PRIMARY
from whet.evaluate.verdict import shown_worse
from whet.progress import Bar
from whet.train.dev import FORGETTING, DevEvaluator

MAX_WORTHLESS_STEPS = 10  # in a row
ZERO_LOSS = 1e-7
# Relative distance of the contrastive loss from that of equal similarities.
EQUAL_SIMILARITIES = 1e-4

DEV_SCORE = f"eval_{PRIMARY}"  # the trainer's names of logged scores
FORGETTING_SCORE = f"eval_{FORGETTING}"
SHOWN_LOSSES = ("loss", "contrastive", "penalty")

logger = logging.getLogger(__name__)


class LossWatch:
    """Raises TrainingError when the loss shows that training is worthless.

    That is a loss that is not finite, or for MAX_WORTHLESS_STEPS steps in a row a loss of 0 or that
    of a model to which all texts are equally similar.
    """

    def __init__(self) -> None:
        self.steps_of_zero = 0
        self.steps_of_equal_similarities = 0

    def see(
        self,
        loss: float,
        contrastive: float | None,
        labels: Mapping[str, Tensor],
        step: int,
    ) -> None:
        """Look at one step's total loss and its unweighted contrastive part.

        `contrastive` is None where that part has no weight; similarities are then not checked.
        `labels` are those of `PairCollator`.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {step}. "
                "Lower the learning rate, or use precision fp32."
            )
        self._check_zero(loss, contrastive, step)
        if contrastive is not None:
            self._check_similarities(contrastive, labels["negative"], step)

    def _check_zero(self, loss: float, contrastive: float | None, step: int) -> None:
        is_zero = abs(loss) < ZERO_LOSS
        self.steps_of_zero = self.steps_of_zero + 1 if is_zero else 0
        if self.steps_of_zero < MAX_WORTHLESS_STEPS:
            return
        reason = "the batches hold nothing to tell apart. Use a larger batch, or mined negatives."
        if contrastive is None:
            reason = (
                "nothing contrastive is in it (λ = 1, or soft labels alone): "
                "lower train.penalty_weight, or use clp."
            )
        raise TrainingError(
            f"the loss has been 0 for {MAX_WORTHLESS_STEPS} steps, at step {step}: {reason}"
        )

    def _check_similarities(self, contrastive: float, negative: Tensor, step: int) -> None:
        # With equal similarities the softmax is uniform over a positive and its n negatives, so
        # InfoNCE is log(1 + n). `negative` is (query, doc).
        candidates = 1 + negative.sum(dim=1)
        uniform = float(candidates.float().log().mean())
        distance = abs(contrastive - uniform)
        is_equal = distance < EQUAL_SIMILARITIES * max(uniform, 1e-9)
        self.steps_of_equal_similarities = self.steps_of_equal_similarities + 1 if is_equal else 0
        if self.steps_of_equal_similarities >= MAX_WORTHLESS_STEPS:
            raise TrainingError(
                f"all similarities have been alike for {MAX_WORTHLESS_STEPS} steps, at step "
                f"{step}. Lower the learning rate, or check that the model gives different texts "
                "different vectors."
            )


class StopEarly(EarlyStoppingCallback):  # type: ignore[misc]
    """Early stopping by dev scores, also where a training was killed right after it.

    Patience counts the planned evaluations. Others, before negatives are re-mined, may be the best
    so far, but use up no patience: many refreshes would else end a training.
    """

    early_stopping_patience_counter: int

    @property
    def stopped(self) -> bool:
        """Whether patience is used up."""
        return bool(self.early_stopping_patience_counter >= self.early_stopping_patience)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,
    ) -> None:
        """Stop where patience is used up, and log it."""
        super().on_evaluate(args, state, control, **others)
        if self.stopped:
            times = f"{self.early_stopping_patience} evaluations in a row"
            logger.info(
                f"step {state.global_step} of {state.max_steps}: dev was no better in {times}: "
                "training stops early"
            )

    def check_metric_value(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metric_value: float,
    ) -> None:
        """Count an evaluation that is no better, if it was planned and is not the last."""
        before = self.early_stopping_patience_counter
        # It sets the counter to 0 for a new best score, and else adds 1.
        super().check_metric_value(args, state, control, metric_value)
        is_planned = state.global_step % state.eval_steps == 0
        is_last = state.global_step == state.max_steps
        if not is_planned or is_last:
            now = self.early_stopping_patience_counter
            self.early_stopping_patience_counter = min(before, now)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Stop again where a resumed training had stopped before.

        The trainer insists on one step then. Nothing of that step is logged, scored or saved.
        """
        if self.stopped:
            control.should_training_stop = True
            control.should_log = False
            control.should_evaluate = False
            control.should_save = False


class TakeLast(TrainerCallback):  # type: ignore[misc]
    """Takes the weights at the end of training unless dev shows that the best checkpoint is better.

    The learning rate falls to 0, so the last weights are the best that can be expected. Some
    hundred dev queries are too few to tell neighbouring checkpoints apart: taking an early one that
    scored more cost up to two points on test (docs/LOG.md).

    The best checkpoint is taken where patience ends a training, for its learning rate has not
    fallen. It is also taken where only it scores above `floor`, such as the base model's score.
    """

    def __init__(self, evaluator: DevEvaluator, floor: float, seed: int) -> None:
        self.evaluator = evaluator
        self.floor = floor
        self.seed = seed

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """At the last step, have the trainer take the checkpoint that it is about to save.

        A new best one it takes by itself.
        """
        last = state.global_step
        if last < state.max_steps:
            return
        scores = {}  # step → dev score
        for entry in state.log_history:
            if DEV_SCORE in entry:
                scores[entry["step"]] = entry[DEV_SCORE]
        best = max(scores, key=lambda step: scores[step])
        only_best_is_above_floor = scores[last] <= self.floor < scores[best]
        if best == last or only_best_is_above_floor:
            return
        last_values = self.evaluator.read(last).primary_per_query
        best_values = self.evaluator.read(best).primary_per_query
        if not shown_worse(last_values, best_values, np.random.default_rng(self.seed)):
            state.best_global_step = last
            queries = len(self.evaluator.dev.queries)
            logger.info(
                f"step {last}, the last, is taken: {queries} dev queries do not show step {best} "
                "to be better"
            )


class ProgressLine(TrainerCallback):  # type: ignore[misc]
    """A progress bar with the parts of the loss and the tokens per second."""

    def __init__(self) -> None:
        self.bar: Bar | None = None
        self.open_bar = ExitStack()
        self.tokens = 0
        self.losses = ""
        self.started = time.monotonic()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Open the bar."""
        self.started = time.monotonic()
        self.tokens = 0
        bar = Bar("train", total=state.max_steps, done=state.global_step)
        self.bar = self.open_bar.enter_context(bar)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Move the bar by a step."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        if self.bar is not None:
            note = f"{self.losses} {self.tokens / seconds:,.0f} tokens/s"
            self.bar.advance(1, note.strip())

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Keep the newest parts of the loss for the bar; log every dev score."""
        logs = logs or {}
        if "loss" in logs:
            parts = [f"{name} {logs[name]:.3f}" for name in SHOWN_LOSSES if name in logs]
            self.losses = " ".join(parts)
        if DEV_SCORE in logs:
            line = f"step {state.global_step}: dev {PRIMARY} {100 * logs[DEV_SCORE]:.2f}"
            if FORGETTING_SCORE in logs:
                line += f", forgetting check {100 * logs[FORGETTING_SCORE]:.2f}"
            logger.info(line)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Close the bar, also after an error."""
        self.open_bar.close()
