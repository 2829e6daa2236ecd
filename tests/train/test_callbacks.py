"""What watches a training: when it stops, and whose weights are taken."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from trainings import STEPS, broken_off, changed, dev_scores, same, state
from transformers import TrainerControl, TrainerState

from whet.errors import TrainingError
from whet.evaluate.measures import PRIMARY
from whet.files import write_json
from whet.progress import shown_on
from whet.train.callbacks import MAX_WORTHLESS_STEPS, LossWatch, ProgressLine, TakeLast
from whet.train.dev import DevEvaluator, DevScores

# ---- the loss

LABELS = {"negative": torch.tensor([[False, True, True], [True, False, True]])}
UNIFORM = math.log(3)  # the loss with one positive and two negatives, all as similar


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_at_once(loss):
    with pytest.raises(
        TrainingError, match=rf"the loss is {loss} at step 7\. Lower the learning rate"
    ):
        LossWatch().see(loss, 1.0, LABELS, step=7)


@pytest.mark.parametrize(
    ("loss", "contrastive", "message"),
    [
        (0.0, 0.0, "the loss has been 0 for 10 steps, at step 10: the batches hold nothing"),
        (0.0, None, "the loss has been 0 for 10 steps, at step 10: nothing contrastive is in it"),
        (0.9 * UNIFORM, UNIFORM, "all similarities have been alike for 10 steps, at step 10"),
    ],
)
def test_a_worthless_loss_stops_when_it_lasts(loss, contrastive, message):
    watch = LossWatch()
    for step in range(1, MAX_WORTHLESS_STEPS):
        watch.see(loss, contrastive, LABELS, step)
    with pytest.raises(TrainingError, match=message):
        watch.see(loss, contrastive, LABELS, MAX_WORTHLESS_STEPS)


@pytest.mark.parametrize(("loss", "contrastive"), [(0.0, 0.0), (UNIFORM, UNIFORM)])
def test_one_good_step_starts_the_count_again(loss, contrastive):
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


# ---- which checkpoint is taken


def taken(dev, folder, scores, *, last=8, steps=8, floor=-math.inf):
    """The step that TakeLast has the trainer take; None where it leaves that to the trainer.

    `scores` are values by step, repeated over the dev queries.
    """
    history = []
    for step, values in scores.items():
        cycled = [values[row % len(values)] for row in range(len(dev.queries))]
        per_query = dict(zip(dev.queries, cycled, strict=True))
        mean = sum(cycled) / len(cycled)
        record = DevScores(-1, {PRIMARY: mean}, {PRIMARY: per_query}).to_json()
        write_json(folder / f"{step}.json", record)
        history.append({"step": step, f"eval_{PRIMARY}": mean})
    trainer_state = TrainerState(global_step=last, max_steps=steps, log_history=history)
    callback = TakeLast(DevEvaluator(dev, folder), floor, seed=13)
    callback.on_evaluate(SimpleNamespace(), trainer_state, TrainerControl())
    return trainer_state.best_global_step


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({2: [0.2], 4: [0.9], 6: [0.1], 8: [0.1]}, None),  # every query loses: shown to be worse
        ({2: [0.2], 4: [0.9], 6: [0.1], 8: [0.8, 0.95]}, 8),  # half of them lose, half gain
        ({2: [0.2], 4: [0.9], 6: [0.8, 0.95], 8: [0.1]}, None),  # it is the last that counts
        ({2: [0.9], 4: [0.9], 6: [0.9], 8: [0.9]}, 8),  # equals
        ({2: [0.2], 4: [0.3], 6: [0.4], 8: [0.5]}, None),  # a new best, which the trainer takes
    ],
)
def test_the_last_weights_are_taken_unless_they_are_shown_to_be_worse(
    dev, tmp_path, scores, expected
):
    assert taken(dev, tmp_path, scores) == expected


def test_before_the_end_nothing_is_decided(dev, tmp_path):
    assert taken(dev, tmp_path, {2: [0.9], 4: [0.8, 0.95]}, last=4) is None


@pytest.mark.parametrize(("floor", "expected"), [(0.88, None), (0.9, 8), (0.8, 8)])
def test_a_checkpoint_above_the_floor_is_not_given_up_for_one_below(dev, tmp_path, floor, expected):
    scores = {2: [0.89], 8: [0.8, 0.95]}  # 0.875 at the end, and no single query shows more
    assert taken(dev, tmp_path, scores, floor=floor) == expected


@pytest.fixture
def given(monkeypatch):
    """Give the values of each evaluation's queries, over and over; returns the weights at each."""

    def give(*values):
        weights, scores, real = [], iter(values), DevEvaluator.__call__

        def noted(self, model, *args, **kwargs):
            weights.append(state(model))
            return real(self, model, *args, **kwargs)

        def per_query(qrels, *_):
            repeated = next(scores) * len(qrels)
            return {PRIMARY: dict(zip(qrels, repeated, strict=False))}

        monkeypatch.setattr("whet.train.dev.per_query", per_query)
        monkeypatch.setattr(DevEvaluator, "__call__", noted)
        return weights

    return give


@pytest.mark.parametrize(("last", "kept"), [([0.8, 0.95], 3), ([0.1], 1)])
def test_the_weights_of_the_step_that_is_taken_stay_in_the_model(
    start, given, tmp_path, last, kept
):
    weights = given([0.2], [0.9], [0.1], last)
    trained, model = start(tmp_path)
    assert trained.best_step == 2 * (kept + 1)
    assert [same(at_step, model) for at_step in weights] == [step == kept for step in range(4)]


def test_a_training_broken_off_takes_the_last_weights_all_the_same(start, given, tmp_path):
    values = [0.2], [0.9], [0.1], [0.8, 0.95]
    given(*values)
    _, whole = start(tmp_path / "whole")
    given(*values[:2])
    with broken_off(5):
        start(tmp_path / "broken")
    given(*values[2:])
    trained, model = start(tmp_path / "broken")
    assert trained.best_step == 8
    assert same(model, whole)


# ---- patience


def test_a_training_that_patience_ends_keeps_the_best(start, given, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    weights = given([0.2], [0.9], [0.8, 0.95])
    trained, model = start(tmp_path, changed(patience=1))
    assert (trained.stopped_early, trained.best_step) == (True, 4)
    assert same(weights[1], model)
    assert "step 6 of 8: dev was no better in 1 evaluations in a row" in caplog.text


def test_a_training_broken_off_stops_early_where_it_would_have(start, given, tmp_path):
    config = changed(patience=2)
    given([0.5], [0.5], [0.5])
    whole, model = start(tmp_path / "whole", config)
    assert sorted(dev_scores(tmp_path / "whole")) == [2, 4, 6]
    given([0.5], [0.5], [0.5])
    with broken_off(5):
        start(tmp_path / "broken", config)
    trained, again = start(tmp_path / "broken", config)
    assert dev_scores(tmp_path / "broken") == dev_scores(tmp_path / "whole")
    assert (whole.best_step, whole.stopped_early) == (trained.best_step, trained.stopped_early)
    assert same(model, again)


def test_a_training_killed_right_after_it_stopped_early_stays_stopped(start, given, tmp_path):
    config = changed(patience=2, evaluations=STEPS)
    given([0.5], [0.4], [0.3], [0.9], [0.9])
    first, model = start(tmp_path, config)
    again, same_model = start(tmp_path, config)
    for trained in (first, again):
        assert (trained.best_step, trained.stopped_early) == (1, True)
    assert sorted(dev_scores(tmp_path)) == [1, 2, 3]
    assert same(model, same_model)


def test_patience_that_ends_with_the_training_stops_nothing(start, given, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    given([0.5], [0.4], [0.3], [0.2])
    trained, _ = start(tmp_path)
    assert sorted(dev_scores(tmp_path)) == [2, 4, 6, 8]
    assert not trained.stopped_early
    assert "stops early" not in caplog.text


# ---- progress


class Shown:
    """A display, and its only task."""

    def __init__(self):
        self.events = []

    def start(self, name, total, done):
        self.events.append((name, total, done))
        return self

    def advance(self, by, note):
        self.events.append((by, note))

    def close(self):
        self.events.append("closed")


def test_the_bar_shows_steps_and_losses_and_closes_once():
    display, line = Shown(), ProgressLine()
    at = TrainerState(global_step=3, max_steps=5)
    with shown_on(display):
        line.on_train_begin(None, at, None)
        line.on_log(None, at, None, logs={"loss": 0.5, "contrastive": 0.4, "lr": 1.0})
        line.on_step_end(None, at, None)
        line.on_train_end(None, at, None)
        line.close()
    assert display.events[0] == ("train", 5, 3)
    assert display.events[1][1].startswith("loss 0.500 contrastive 0.400 0 tokens/s")
    assert display.events[2:] == ["closed"]


def test_every_dev_score_is_logged(caplog):
    caplog.set_level(logging.INFO)
    at = TrainerState(global_step=3, max_steps=5)
    ProgressLine().on_log(None, at, None, logs={f"eval_{PRIMARY}": 0.5})
    ProgressLine().on_log(
        None, at, None, logs={f"eval_{PRIMARY}": 0.5, f"eval_guard_{PRIMARY}": 0.25}
    )
    assert [record.message for record in caplog.records] == [
        f"step 3: dev {PRIMARY} 50.00",
        f"step 3: dev {PRIMARY} 50.00, forgetting check 25.00",
    ]
