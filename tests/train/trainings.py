"""What tests of single trainings share: a quick one, its weights and scores, and a lost machine."""

import json
from contextlib import contextmanager

import pytest
import torch

from whet.evaluate.measures import PRIMARY
from whet.moe.upcycle import upcycle
from whet.train import trainer as trainer_module
from whet.train.callbacks import ProgressLine
from whet.train.config import TrainConfig
from whet.train.dev import DevEvaluator
from whet.train.trainer import train_model

QUICK = TrainConfig(
    train_only="all", learning_rate=0.02, epochs=2, batch_size=8, evaluations=4, negatives=2
)
STEPS = 8  # of it; dev is scored at 2, 4, 6, 8


def train(model, training_data, dev, folder, config=QUICK, moe=None, **options):
    """Train in a folder, with checkpoints in `scratch` and dev scores in `dev`."""
    if moe is not None:
        upcycle(model, experts=moe.experts, seed=config.seed)
    evaluator = DevEvaluator(dev, folder / "dev")
    return train_model(model, training_data, evaluator, config, folder / "scratch", moe, **options)


def changed(**settings):
    """The quick training with other settings."""
    return QUICK.model_copy(update=settings)


def state(model):
    """A copy of a model's weights by name."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(left, right):
    """Whether two models, or copies of their weights, are equal bit for bit."""
    left, right = (side if isinstance(side, dict) else state(side) for side in (left, right))
    return all(torch.equal(value, right[name]) for name, value in left.items())


def dev_scores(folder):
    """Dev scores by step."""
    return {
        int(path.stem): json.loads(path.read_text())["means"][PRIMARY]
        for path in (folder / "dev").iterdir()
    }


class Broken(ProgressLine):
    """Breaks a training off at a step, as a lost machine does."""

    step = 0

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@contextmanager
def broken_off(step):
    """Break off the training within, right after a step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_module, "ProgressLine", Broken)
        patch.setattr(Broken, "step", step)
        with pytest.raises(KeyboardInterrupt):
            yield
