"""Batches, drawn anew every epoch from (seed, epoch) alone: at random, or neighbours.

Neighbour batches: queries whose positives the model confuses train together, so in-batch negatives are hard. A batch
starts at a random row and takes in the rows whose positives rank highest for the queries already in it. Each query's
hard negatives are then other queries' positives, which are encoded anyway: they cost nothing. What is hard is told by
the model's own ranking, as in ANCE (arXiv 2007.00808).
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32
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


class NeighbourBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """A sentence-transformers batch sampler over rows that are (query, positive) pairs; any loss can use it.

    No two rows of a batch conflict: no row's passage is a known positive of another row's query. Drawn anew every
    epoch from (seed, epoch) alone. Rows that fit into no batch wait for the next epoch.

    Args:
        dataset: the training rows; only their number matters.
        batch_size: rows per batch at most.
        drop_last: taken for the base class; batches differ by at most one row, so nothing is dropped for size.
        neighbours: for each row the rows that rank highest for its query, best first, padded with -1.
        passages: for each row the id of its positive passage.
        known: for each row the ids of all known positives of its query.
        seed: of the order.
        **kwargs: what else the trainer passes.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool = False,
        *,
        neighbours: Int32[np.ndarray, "row neighbour"],
        passages: Sequence[str],
        known: Sequence[frozenset[str]],
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset, batch_size, drop_last, seed=seed, **kwargs)
        self.neighbours = neighbours
        self.passages = passages
        self.known = known

    def __len__(self) -> int:
        return -(-len(self.passages) // int(self.batch_size))

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        waiting = dict.fromkeys(rng.permutation(len(self.passages)).tolist())
        sizes = [len(part) for part in np.array_split(np.arange(len(self.passages)), len(self))]
        batches = [self._draw(waiting, size) for size in sizes]
        # The last batches are made of leftovers: without a shuffle every epoch would end on easy ones.
        for place in rng.permutation(len(batches)):
            yield batches[place]

    def _draw(self, waiting: dict[int, None], size: int) -> list[int]:
        """Take up to `size` rows out of `waiting`: a first one, then neighbours of those taken, then any others."""
        batch: list[int] = []
        inside: set[str] = set()
        barred: set[str] = set()
        for row in self._candidates(waiting, batch):
            if (
                row not in waiting
                or self.passages[row] in barred
                or not inside.isdisjoint(self.known[row])
            ):
                continue
            del waiting[row]
            batch.append(row)
            inside.add(self.passages[row])
            barred |= self.known[row]
            if len(batch) == size:
                break
        return batch

    def _candidates(self, waiting: dict[int, None], batch: Sequence[int]) -> Iterator[int]:
        """Rows in the order in which a batch wants them; grows with the batch, which is read while it fills."""
        yield next(iter(waiting))
        for place in itertools.count():
            if place == len(batch):
                break
            yield from (int(row) for row in self.neighbours[batch[place]] if row >= 0)
        yield from list(waiting)
