"""Batches at random, drawn anew every epoch from (seed, epoch) alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sentence_transformers.base.sampler import DefaultBatchSampler


class RandomBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Rows in random order: what the trainer does by itself, but the order of any epoch can be told beforehand."""

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
        return -(-self.size // int(self.batch_size))

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size).tolist()
        yield from (
            order[start : start + self.batch_size] for start in range(0, self.size, self.batch_size)
        )
