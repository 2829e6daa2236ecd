"""Batches of random vectors and relations, as hypothesis draws them."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from whet.losses import Relations


@dataclass
class Batch:
    query: torch.Tensor
    passage: torch.Tensor
    star: torch.Tensor
    relations: Relations

    @property
    def vectors(self):
        return [self.query, self.passage, self.star]


def batch_of(seed, queries, passages, stars, dim, negative=0.6, answer=0.4):
    """A float64 batch with gradients on; no positive is its query's negative, the rest random."""
    rng = np.random.default_rng(seed)

    def vectors(rows):
        return torch.tensor(rng.normal(size=(rows, dim)), dtype=torch.float64, requires_grad=True)

    positive = torch.tensor(rng.integers(0, passages, size=queries))
    pushed = torch.tensor(rng.random((queries, passages)) < negative)
    pushed[torch.arange(queries), positive] = False
    answers = torch.tensor(rng.random((passages, stars)) < answer)
    return Batch(
        vectors(queries), vectors(passages), vectors(stars), Relations(positive, pushed, answers)
    )


sizes = st.integers(1, 5)
batches = st.builds(
    batch_of,
    seed=st.integers(0, 2**32 - 1),
    queries=sizes,
    passages=sizes,
    stars=sizes,
    dim=st.integers(2, 4),
    negative=st.sampled_from([0.0, 0.5, 1.0]),
    answer=st.sampled_from([0.0, 0.3, 1.0]),
)
temperatures = st.floats(0.02, 2.0)
weights = st.floats(0.0, 1.0)
