"""Losses against soft labels.

Proved: they are sentence-transformers' CosineSimilarityLoss, CoSENTLoss and DistillKLDivLoss,
values and gradients, and pairs without a label count for nothing.
"""

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, DistillKLDivLoss

from whet.losses.infonce import cosine
from whet.losses.soft import cosent, kl, mse


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    query, passage = (torch.randn(n, 7, generator=generator, dtype=torch.float64) for n in (4, 5))
    label = torch.rand(4, 5, generator=generator, dtype=torch.float64)
    known = torch.rand(4, 5, generator=generator) < 0.7
    return query.requires_grad_(), passage.requires_grad_(), label, known


def columns(batch):
    query, passage, label, known = batch
    rows, places = known.nonzero().T
    return query[rows], passage[places], label[known]


def same(found, expected, batch):
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        *(torch.autograd.grad(total, batch[:2]) for total in (found, expected)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_mse_is_that_of_cosines(batch):
    left, right, label = columns(batch)
    expected = torch.nn.functional.mse_loss(torch.cosine_similarity(left, right), label)
    same(mse(cosine(batch[0], batch[1]), *batch[2:]), expected, batch)


def test_cosent_is_that_of_sentence_transformers(batch):
    left, right, label = columns(batch)
    loss = CoSENTLoss(torch.nn.Identity(), scale=20.0)
    same(
        cosent(cosine(batch[0], batch[1]), *batch[2:]),
        loss.compute_loss_from_embeddings([left, right], label),
        batch,
    )


def test_kl_is_that_of_sentence_transformers(batch):
    query, passage, label, _ = batch
    loss = DistillKLDivLoss(
        torch.nn.Identity(), similarity_fct=torch.cosine_similarity, temperature=1.0
    )
    everywhere = [query, *(one.expand_as(query) for one in passage)]
    expected = loss.compute_loss_from_embeddings(everywhere, label)
    found = kl(cosine(query, passage), label, torch.ones_like(label, dtype=torch.bool), 1.0, 1.0)
    same(found, expected, batch)


@pytest.mark.parametrize("loss", [mse, cosent, kl])
def test_what_has_no_label_counts_for_nothing(loss, batch):
    query, passage, label, known = batch
    similarity = cosine(query, passage).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(similarity, label, known), similarity)
    assert (gradient[~known] == 0).all()
    assert gradient[known].abs().sum() > 0
    again = loss(similarity, torch.where(known, label, torch.nan), known)
    torch.testing.assert_close(again, loss(similarity, label, known))
    (nothing,) = torch.autograd.grad(loss(similarity, label, torch.zeros_like(known)), similarity)
    assert (nothing == 0).all()
