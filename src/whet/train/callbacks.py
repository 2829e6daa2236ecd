"""Stops a training whose loss is worthless or whose dev scores no longer rise, and shows how far it has come."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
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
from whet.progress import Bar, say
from whet.train.dev import FORGETTING, DevEvaluator

PATIENCE = 10  # worthless steps in a row


class LossWatch:
    """Raises TrainingError when the loss is not finite, is 0, or is what a model gives that tells nothing apart."""

    def __init__(self) -> None:
        self.zero = 0
        self.alike = 0

    def see(
        self, loss: float, contrastive: float | None, labels: Mapping[str, Tensor], step: int
    ) -> None:
        """Look at one step's total loss and unweighted contrastive part.

        `contrastive` is None where it has no weight in the loss: then nothing tells whether similarities are alike.
        """
        if not torch.isfinite(torch.tensor(loss)):
            raise TrainingError(
                f"the loss is {loss} at step {step}. Lower the learning rate, or use precision fp32."
            )
        self.zero = self.zero + 1 if abs(loss) < 1e-7 else 0
        if self.zero >= PATIENCE:
            why = (
                "nothing contrastive is in it (λ = 1, or soft labels alone): lower train.penalty_weight, or use clp."
                if contrastive is None
                else "the batches hold nothing to tell apart. Use a larger batch, or mined negatives."
            )
            raise TrainingError(f"the loss has been 0 for {PATIENCE} steps, at step {step}: {why}")
        if contrastive is None:
            return
        # Equal similarities everywhere make InfoNCE exactly the log of the number of candidates.
        blind = float((1 + labels["negative"].sum(dim=1)).float().log().mean())
        self.alike = self.alike + 1 if abs(contrastive - blind) < 1e-4 * max(blind, 1e-9) else 0
        if self.alike >= PATIENCE:
            raise TrainingError(
                f"all similarities have been alike for {PATIENCE} steps, at step {step}. "
                "Lower the learning rate, or check that the model gives different texts different vectors."
            )


class StopEarly(EarlyStoppingCallback):  # type: ignore[misc]
    """Early stopping by dev scores that holds when a training is killed right after it and is started again.

    Patience counts the planned evaluations. One more, before negatives are mined anew, may be the best so far, but to
    be no better takes no patience: else many refreshes would end a training.
    """

    early_stopping_patience_counter: int

    @property
    def stopped(self) -> bool:
        """Whether patience is at its end."""
        return bool(self.early_stopping_patience_counter >= self.early_stopping_patience)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **with_: Any
    ) -> None:
        """Stop where patience is at its end, and say so."""
        super().on_evaluate(args, state, control, **with_)
        if self.stopped:
            times = f"{self.early_stopping_patience} evaluations in a row"
            say(
                f"step {state.global_step} of {state.max_steps}: dev was no better in {times}: training stops early"
            )

    def check_metric_value(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metric_value: float,
    ) -> None:
        """Count an evaluation that is no better, if it was planned and there is something left to stop."""
        before = self.early_stopping_patience_counter
        super().check_metric_value(args, state, control, metric_value)
        if state.global_step % state.eval_steps or state.global_step == state.max_steps:
            self.early_stopping_patience_counter = min(before, self.early_stopping_patience_counter)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop again, after the one step that the trainer insists on; nothing of that step is kept."""
        if self.stopped:
            control.should_training_stop = True
            control.should_log = control.should_evaluate = control.should_save = False


class TakeLast(TrainerCallback):  # type: ignore[misc]
    """Keeps the weights at a training's end unless dev shows them to be worse than the checkpoint that scored best.

    A learning rate that falls to 0 makes the last weights the best to be expected, and some hundred dev queries are too
    noisy to tell neighbouring checkpoints apart: an early one that scored more cost up to two points on test
    (docs/LOG.md). A training that patience ends keeps the best one: there the learning rate has not fallen. So does one
    whose last weights dev does not put above the evaluator's `floor`, where another checkpoint is above it.
    """

    def __init__(self, evaluator: DevEvaluator, floor: float, seed: int) -> None:
        self.evaluator = evaluator
        self.floor = floor
        self.seed = seed

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Have the trainer keep what it is about to save; a new best it keeps by itself."""
        if state.global_step < state.max_steps:
            return
        scores = {
            row["step"]: row[key] for row in state.log_history if (key := f"eval_{PRIMARY}") in row
        }
        best, last = max(scores, key=lambda step: scores[step]), state.global_step
        if best == last or scores[last] <= self.floor < scores[best]:
            return
        rng = np.random.default_rng(self.seed)
        last_values = self.evaluator.read(last).primary_per_query
        best_values = self.evaluator.read(best).primary_per_query
        if not shown_worse(last_values, best_values, rng):
            state.best_global_step = last
            queries = len(self.evaluator.dev.queries)
            say(
                f"step {last}, the last, is taken: {queries} dev queries do not show step {best} to be better"
            )


class ProgressLine(TrainerCallback):  # type: ignore[misc]
    """A bar (or a line now and then) with the parts of the loss, tokens per second and the time left."""

    def __init__(self) -> None:
        self.bar: Bar | None = None
        self.tokens = 0
        self.note = ""
        self.began = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Open the bar."""
        self.began, self.tokens = time.monotonic(), 0
        self.bar = Bar("train", total=state.max_steps, done=state.global_step)
        self.bar.__enter__()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Move the bar by a step."""
        rate = self.tokens / max(time.monotonic() - self.began, 1e-9)
        if self.bar is not None:
            self.bar.advance(1, f"{self.note} {rate:,.0f} tokens/s".strip())

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Keep the newest loss parts for the bar; say every dev score."""
        logs = logs or {}
        if "loss" in logs:
            shown = ("loss", "contrastive", "penalty")
            self.note = " ".join(f"{name} {logs[name]:.3f}" for name in shown if name in logs)
        if f"eval_{PRIMARY}" in logs:
            kept = f", guard {100 * logs[f'eval_{FORGETTING}']:.2f}" if f"eval_{FORGETTING}" in logs else ""
            say(
                f"step {state.global_step}: dev {PRIMARY} {100 * logs[f'eval_{PRIMARY}']:.2f}{kept}"
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Close the bar, also after an error."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
            self.bar = None
