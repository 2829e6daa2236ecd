"""Which checkpoint a training takes, by the dev scores of single queries."""

from itertools import cycle

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from train.trainings import Broken, same, state
from whet.evaluate.measures import PRIMARY
from whet.train import trainer as trainer_module
from whet.train.config import TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.trainer import train_model

CONFIG = TrainConfig(train_only="all", learning_rate=0.02, epochs=2, batch_size=32, evaluations=4)


@pytest.fixture
def start(tiny_model, material, dev):
    """Train in a folder; return what was done, and the model."""

    def run(folder, config=CONFIG, floor=-np.inf):
        model = SentenceTransformer(str(tiny_model))
        evaluator = DevEvaluator(dev, folder / "dev")
        trained = train_model(
            model, material, evaluator, config, folder / "scratch", floor=floor
        )
        return trained, model

    return run


@pytest.fixture
def given(monkeypatch):
    """Give the values of each evaluation's queries, over and over; returns the weights at each."""

    def give(*values):
        weights, scores, real = [], iter(values), DevEvaluator.__call__

        def noted(self, model, *args, **kwargs):
            weights.append(state(model))
            return real(self, model, *args, **kwargs)

        monkeypatch.setattr(
            "whet.train.dev.per_query",
            lambda qrels, *_: {PRIMARY: dict(zip(qrels, cycle(next(scores)), strict=False))},
        )
        monkeypatch.setattr(DevEvaluator, "__call__", noted)
        return weights

    return give


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (([0.2], [0.9], [0.1], [0.1]), 1),  # every query loses: shown to be worse
        (([0.2], [0.9], [0.1], [0.8, 0.95]), 3),  # half of them lose, half gain
        (([0.2], [0.9], [0.8, 0.95], [0.1]), 1),  # only the last can take the best one's place
        (([0.9], [0.9], [0.9], [0.9]), 3),  # equals
        (([0.2], [0.3], [0.4], [0.5]), 3),
    ],
)
def test_the_last_weights_are_kept_unless_they_are_shown_to_be_worse(
    start, given, tmp_path, values, kept
):
    weights = given(*values)
    trained, model = start(tmp_path)
    assert trained.best_step == 2 * (kept + 1)
    assert [same(found, state(model)) for found in weights] == [at == kept for at in range(4)]


@pytest.mark.parametrize(("floor", "kept"), [(0.88, 2), (0.9, 8), (0.8, 8)])
def test_no_checkpoint_above_base_is_left_for_one_that_is_not(start, given, tmp_path, floor, kept):
    given([0.89], [0.2], [0.2], [0.8, 0.95])  # 0.872 in the end, and no single query says more
    assert start(tmp_path, floor=floor)[0].best_step == kept


def test_a_training_that_patience_ends_keeps_the_best(start, given, tmp_path):
    weights = given([0.2], [0.9], [0.8, 0.95])
    trained, model = start(tmp_path, CONFIG.model_copy(update={"patience": 1}))
    assert (trained.stopped_early, trained.best_step) == (True, 4)
    assert same(weights[1], state(model))


def test_a_training_broken_off_takes_the_last_weights_all_the_same(
    start, given, monkeypatch, tmp_path
):
    values = [0.2], [0.9], [0.1], [0.8, 0.95]
    given(*values)
    _, model = start(tmp_path / "whole")
    given(*values[:2])
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "ProgressLine", Broken)
        patch.setattr(Broken, "step", 5)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "broken")
    given(*values[2:])
    trained, again = start(tmp_path / "broken")
    assert trained.best_step == 8
    assert same(state(model), state(again))
