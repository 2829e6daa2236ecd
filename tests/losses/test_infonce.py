"""InfoNCE against torch's cross-entropy, and against the same loss of sentence-transformers."""

import pytest
import torch
from batches import batch_of
from jaxtyping import TypeCheckError
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch.nn.functional import cross_entropy, normalize

from architectures import bert_mean, build, qwen3, static
from tiny import WORDS
from whet.losses import InfoNCELoss, Relations, info_nce
from whet.losses.infonce import contrastive


def test_full_batch_is_cross_entropy_over_the_rows():
    batch = batch_of(0, queries=4, passages=7, stars=1, dim=5)
    row = torch.arange(4)
    everything_else = torch.arange(7)[None] != row[:, None]
    relations = Relations(row, everything_else, batch.relations.answers)
    total, parts = info_nce(batch.query, batch.passage, relations, temperature=0.05)
    expected = cross_entropy(normalize(batch.query) @ normalize(batch.passage).T / 0.05, row)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(parts["contrastive"], expected)


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


@pytest.mark.parametrize("make", [bert_mean, qwen3, static])
@pytest.mark.parametrize("negatives", [0, 1, 2])
def test_columns_give_what_sentence_transformers_gives(tmp_path, make, negatives):
    """Same value and gradients as MultipleNegativesRankingLoss, where no text stands twice."""
    model = build(make, tmp_path).eval()
    texts = [" ".join(WORDS[i : i + 1 + i % 4]) for i in range(0, 60, 5)]
    columns = [model.preprocess(texts[i : i + 3]) for i in range(0, 6 + 3 * negatives, 3)]

    def learned(loss):
        model.zero_grad()
        loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    ours = InfoNCELoss(model, temperature=0.05)(columns)["contrastive"]
    theirs = MultipleNegativesRankingLoss(model, scale=20.0)(
        [dict(column) for column in columns], None
    )
    torch.testing.assert_close(ours, theirs)
    found, expected = learned(ours), learned(theirs)
    assert max(g.abs().max() for g in expected) > 1e-2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
