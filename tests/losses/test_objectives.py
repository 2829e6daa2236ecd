"""Objectives: each is its pure function with its settings bound."""

from dataclasses import replace

import pytest
import torch
from batches import batch_of

from whet.losses import ContrastivePenalty, InfoNCE, SoftLabels, SoftPart, clp, info_nce
from whet.losses.infonce import cosine
from whet.losses.objectives import EmbeddedBatch
from whet.losses.soft import cosent, kl, mse


@pytest.fixture
def batch():
    """Two queries, three passages and four h* candidates, of which the queries are the first."""
    drawn = batch_of(2, queries=2, passages=3, stars=4, dim=5)
    return EmbeddedBatch.of(drawn.passage, drawn.star, drawn.relations)


@pytest.fixture
def labelled(batch):
    """The same with a label for all pairs but one."""
    label = torch.rand(2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    label[0, 1] = torch.nan
    return replace(batch, relations=replace(batch.relations, label=label))


def test_the_queries_are_the_first_of_the_candidates(batch):
    assert torch.equal(batch.query, batch.star[:2])


def test_infonce_is_its_function(batch):
    expected = info_nce(batch.query, batch.passage, batch.relations, temperature=0.3)
    assert InfoNCE(0.3)(batch) == expected
    assert InfoNCE(0.3).settings() == {"temperature": 0.3}


def test_contrastive_penalty_is_clp(batch):
    expected = clp(
        batch.query, batch.passage, batch.star, batch.relations, temperature=0.3, weight=0.2
    )
    parts = ContrastivePenalty(0.3, 0.2)(batch)
    assert parts == expected
    assert parts.weights == {"contrastive": 0.8, "penalty": 0.2}
    settings = ContrastivePenalty(0.3, 0.2).settings()
    assert settings == {"temperature": 0.3, "penalty_weight": 0.2}


@pytest.mark.parametrize(
    ("name", "loss", "options"),
    [("kl", kl, {"temperature": 0.3}), ("mse", mse, {}), ("cosent", cosent, {})],
)
def test_soft_labels_is_the_loss_of_its_name(labelled, name, loss, options):
    objective = SoftLabels(0.3, SoftPart(0.7, name))
    parts = objective(labelled)
    label = labelled.relations.label
    similarity = cosine(labelled.query, labelled.passage)
    assert parts.values == {"soft": loss(similarity, label, ~label.isnan(), **options)}
    assert parts.weights == {"soft": 0.7}
    assert objective.settings() == {"temperature": 0.3, "soft_weight": 0.7, "soft_loss": name}


def test_without_labels_there_is_no_soft_part(batch):
    assert not SoftLabels()(batch).values
