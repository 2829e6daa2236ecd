"""What tests of single trainings share: weights to compare, and a training that is lost at a step."""

import torch

from whet.train.callbacks import ProgressLine


def state(model):
    """A copy of a model's weights by name."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(left, right):
    """Whether two such copies are equal, bit for bit."""
    return all(torch.equal(left[name], right[name]) for name in left)


class Broken(ProgressLine):
    """Breaks a training off at a step, as a lost machine does."""

    step = 0

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt
