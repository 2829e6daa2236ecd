"""Random batches: every row once an epoch, and seed and epoch alone decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.train.batches import RandomBatchSampler


def batches_of(rows, batch_size, seed=0, epoch=0):
    sampler = RandomBatchSampler(range(rows), batch_size, seed=seed)
    sampler.set_epoch(epoch)
    return sampler, list(sampler)


@given(rows=st.integers(1, 60), batch_size=st.integers(1, 9), epoch=st.integers(0, 3))
def test_every_row_comes_once_in_an_epoch(rows, batch_size, epoch):
    sampler, batches = batches_of(rows, batch_size, epoch=epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(rows))
    assert len(batches) == len(sampler)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size


def test_seed_and_epoch_alone_decide():
    sampler, second = batches_of(40, 6, seed=3, epoch=2)
    sampler.set_epoch(1)
    first = list(sampler)
    sampler.set_epoch(2)
    assert list(sampler) == second == batches_of(40, 6, seed=3, epoch=2)[1]
    assert first != second
    assert batches_of(40, 6, seed=4, epoch=2)[1] != second


@pytest.mark.parametrize("rows", [1, 31, 32, 33])
def test_the_order_of_a_known_seed_stays(rows):
    """What a checkpoint was trained on must be what a resumed training skips."""
    import numpy as np

    order = np.random.default_rng([13, 1]).permutation(rows).tolist()
    _, batches = batches_of(rows, 8, seed=13, epoch=1)
    assert [row for batch in batches for row in batch] == order
