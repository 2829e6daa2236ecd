"""InfoNCE against torch's cross-entropy."""

import pytest
import torch
from batches import batch_of
from jaxtyping import TypeCheckError
from torch.nn.functional import cross_entropy, normalize

from whet.losses import Relations, info_nce
from whet.losses.infonce import contrastive


def test_full_batch_is_cross_entropy_over_the_rows():
    batch = batch_of(0, queries=4, passages=7, stars=1, dim=5)
    row = torch.arange(4)
    everything_else = torch.arange(7)[None] != row[:, None]
    relations = Relations(row, everything_else, batch.relations.answers)
    parts = info_nce(batch.query, batch.passage, relations, temperature=0.05)
    expected = cross_entropy(normalize(batch.query) @ normalize(batch.passage).T / 0.05, row)
    torch.testing.assert_close(parts.total, expected)
    torch.testing.assert_close(parts.values["contrastive"], expected)


def test_shapes_are_checked_while_tests_run():
    """By the annotations (pytest's --jaxtyping-packages): vectors of two sizes have no cosine."""
    batch = batch_of(0, queries=2, passages=3, stars=1, dim=4)
    with pytest.raises(TypeCheckError, match="dim"):
        info_nce(batch.query, batch.passage[:, :3], batch.relations, temperature=0.05)


def test_what_is_neither_positive_nor_negative_takes_no_part():
    similarity = torch.tensor([[0.9, 0.8, 0.1]], dtype=torch.float64, requires_grad=True)
    relations = Relations(
        torch.tensor([0]), torch.tensor([[False, False, True]]), torch.zeros(3, 1, dtype=torch.bool)
    )
    loss = contrastive(similarity, relations, 0.5)
    torch.testing.assert_close(
        loss, cross_entropy(similarity[:, [0, 2]] / 0.5, torch.tensor([0]))[None]
    )
    (slope,) = torch.autograd.grad(loss.sum(), similarity)
    assert slope[0, 1] == 0
    assert slope[0, 0] < 0 < slope[0, 2]
