"""Random batches whose order depends on seed and epoch alone."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler


class RandomBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Rows in random order.

    The trainer's own sampler does the same, but here the batches of any epoch can be told before
    that epoch, from `set_epoch` alone: re-mining asks which rows are still to come.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool = False,
        *,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset, batch_size, drop_last, seed=seed, **kwargs)
        self.size = len(dataset)

    def __len__(self) -> int:
        return math.ceil(self.size / int(self.batch_size))

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])  # without any state in between
        order = rng.permutation(self.size).tolist()
        for start in range(0, self.size, self.batch_size):
            yield order[start : start + self.batch_size]
