"""CLP against scalar loops, and against the paper's code for a batch of one."""

import torch
from batches import batch_of, batches, temperatures, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity, cross_entropy

from oracles import losses as oracle
from whet.losses import Relations, clp, info_nce
from whet.losses.clp import penalty

EXACT = {"rtol": 1e-9, "atol": 1e-10}


def gradients(loss, vectors):
    found = torch.autograd.grad(loss, vectors, allow_unused=True)
    return [torch.zeros_like(v) if g is None else g for v, g in zip(vectors, found, strict=True)]


@settings(max_examples=60, deadline=None)
@given(batch=batches, temperature=temperatures, weight=weights)
def test_is_the_formula(batch, temperature, weight):
    parts = clp(*batch.vectors, batch.relations, temperature=temperature, weight=weight)
    contrastive, drift = oracle.clp(*batch.vectors, batch.relations, temperature, weight)
    expected = contrastive + drift
    torch.testing.assert_close(parts.weighted["contrastive"], contrastive, **EXACT)
    torch.testing.assert_close(parts.weighted["penalty"], drift, **EXACT)
    torch.testing.assert_close(parts.total, expected, **EXACT)
    ours = gradients(parts.total, batch.vectors)
    theirs = gradients(expected, batch.vectors)
    # Gradients grow as 1/τ, and so does their rounding.
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-8)


def test_gradient_is_the_slope():
    batch = batch_of(3, queries=3, passages=5, stars=4, dim=3)

    def loss(query, passage, star):
        return clp(query, passage, star, batch.relations, temperature=0.2, weight=0.3).total

    assert torch.autograd.gradcheck(loss, batch.vectors)
    assert all(g.abs().sum() > 0 for g in gradients(loss(*batch.vectors), batch.vectors))


def test_is_the_papers_code_for_a_batch_of_one():
    """Four negatives, one h* each: (1-λ)·CE(scores/τ, 0) + λ·mean(1 - cos(negative, h*))."""
    generator = torch.Generator().manual_seed(5)
    query, passage, answered = (
        torch.randn(n, 8, generator=generator, dtype=torch.float64, requires_grad=True)
        for n in (1, 5, 4)
    )
    scores = cosine_similarity(query, passage)
    expected = 0.9 * cross_entropy(scores[None] / 0.02, torch.tensor([0])) + 0.1 * torch.mean(
        1 - cosine_similarity(passage[1:], answered)
    )
    star = torch.cat([query, answered])
    answers = torch.zeros(5, 5, dtype=torch.bool)
    answers[range(5), range(5)] = True
    relations = Relations(
        torch.tensor([0]), torch.tensor([[False, True, True, True, True]]), answers
    )
    total = clp(query, passage, star, relations, temperature=0.02, weight=0.1).total
    torch.testing.assert_close(total, expected, **EXACT)
    vectors = [query, passage, answered]
    torch.testing.assert_close(
        gradients(total, vectors), gradients(expected, vectors), rtol=1e-9, atol=1e-10
    )


@settings(max_examples=30, deadline=None)
@given(batch=batches, temperature=temperatures)
def test_without_weight_is_infonce(batch, temperature):
    total = clp(*batch.vectors, batch.relations, temperature=temperature, weight=0.0).total
    expected = info_nce(batch.query, batch.passage, batch.relations, temperature=temperature).total
    torch.testing.assert_close(total, expected, rtol=0, atol=0)
    torch.testing.assert_close(
        gradients(total, batch.vectors), gradients(expected, batch.vectors), rtol=0, atol=0
    )


@settings(max_examples=30, deadline=None)
@given(batch=batches, seed=st.integers(0, 2**32 - 1), weight=weights)
def test_order_means_nothing(batch, seed, weight):
    generator = torch.Generator().manual_seed(seed)
    rows, docs, stars = (torch.randperm(len(v), generator=generator) for v in batch.vectors)
    old = batch.relations
    moved = Relations(
        positive=torch.argsort(docs)[old.positive[rows]],
        negative=old.negative[rows][:, docs],
        answers=old.answers[docs][:, stars],
    )
    plain = clp(*batch.vectors, old, temperature=0.1, weight=weight).total
    other = clp(
        batch.query[rows],
        batch.passage[docs],
        batch.star[stars],
        moved,
        temperature=0.1,
        weight=weight,
    ).total
    torch.testing.assert_close(other, plain, **EXACT)
    torch.testing.assert_close(
        gradients(other, batch.vectors), gradients(plain, batch.vectors), rtol=1e-7, atol=1e-9
    )


def test_a_negative_without_its_own_query_takes_no_part():
    """Three negatives of one query, the last without h*: the mean is over two of them."""
    similarity = torch.tensor([[0.5, 0.1], [0.2, 0.9], [0.3, 0.3], [0.7, 0.7]], requires_grad=True)
    relations = Relations(
        positive=torch.tensor([0]),
        negative=torch.tensor([[False, True, True, True]]),
        answers=torch.tensor([[True, False], [False, True], [True, True], [False, False]]),
    )
    found = penalty(similarity, relations)
    torch.testing.assert_close(found, torch.tensor([((1 - 0.9) + (1 - 0.3)) / 2]))
    (slope,) = torch.autograd.grad(found.sum(), similarity)
    assert slope.tolist() == [[0, 0], [0, -0.5], [-0.25, -0.25], [0, 0]]


def test_a_query_with_nothing_to_learn_costs_nothing():
    """Row 0 has no negative, row 1 only one without h*: no penalty, finite gradients."""
    batch = batch_of(1, queries=2, passages=3, stars=2, dim=4)
    relations = Relations(
        positive=torch.tensor([0, 1]),
        negative=torch.tensor([[False, False, False], [False, False, True]]),
        answers=torch.tensor([[True, False], [False, True], [False, False]]),
    )
    parts = clp(*batch.vectors, relations, temperature=0.02, weight=0.5)
    assert parts.values["penalty"].item() == 0
    found = gradients(parts.total, batch.vectors)
    assert all(torch.isfinite(g).all() for g in found)
    assert found[0][0].abs().max() == 0
    assert found[0][1].abs().max() > 0
