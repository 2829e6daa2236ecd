"""The watch stops a worthless training at the step where it shows, and lets everything else go on."""

import math

import pytest
import torch

from whet.errors import TrainingError
from whet.train.callbacks import MAX_WORTHLESS_STEPS, LossWatch

LABELS = {"negative": torch.tensor([[False, True, True], [True, False, True]])}
BLIND = math.log(3)  # one positive and two negatives, all as similar


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_at_once(loss):
    with pytest.raises(
        TrainingError, match=rf"the loss is {loss} at step 7\. Lower the learning rate"
    ):
        LossWatch().see(loss, 1.0, LABELS, step=7)


@pytest.mark.parametrize(
    ("loss", "contrastive", "message"),
    [
        (
            0.0,
            0.0,
            "the loss has been 0 for 10 steps, at step 10: the batches hold nothing to tell apart",
        ),
        (0.0, None, "the loss has been 0 for 10 steps, at step 10: nothing contrastive is in it"),
        (0.9 * BLIND, BLIND, "all similarities have been alike for 10 steps, at step 10"),
    ],
)
def test_a_worthless_loss_stops_when_it_lasts(loss, contrastive, message):
    watch = LossWatch()
    for step in range(1, MAX_WORTHLESS_STEPS):
        watch.see(loss, contrastive, LABELS, step)
    with pytest.raises(TrainingError, match=message):
        watch.see(loss, contrastive, LABELS, MAX_WORTHLESS_STEPS)


@pytest.mark.parametrize(("loss", "contrastive"), [(0.0, 0.0), (BLIND, BLIND)])
def test_one_good_step_starts_the_count_anew(loss, contrastive):
    watch = LossWatch()
    for step in range(1, 5 * MAX_WORTHLESS_STEPS):
        good = step % MAX_WORTHLESS_STEPS == 0
        watch.see(0.5 if good else loss, 0.5 if good else contrastive, LABELS, step)


def test_without_a_contrastive_part_only_the_loss_is_watched():
    watch = LossWatch()
    for step in range(1, 3 * MAX_WORTHLESS_STEPS):
        watch.see(0.5, None, LABELS, step)
    with pytest.raises(TrainingError, match="the loss is nan"):
        watch.see(math.nan, None, LABELS, step)
