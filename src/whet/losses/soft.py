"""Losses against soft labels, over the pairs of a batch that have one (idea: arXiv 2408.11868).

`similarity` is the student's cosine of queries and passages. `label` is a number in [0, 1] for
each pair, and `known` says which pairs have one.

Sentence-transformers has the same losses over columns of texts (CosineSimilarityLoss, CoSENTLoss,
DistillKLDivLoss). These are over a batch whose texts are embedded once, and give the same values
(tests/losses).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SoftLoss = Literal["kl", "mse", "cosent"]


@dataclass(frozen=True, slots=True)
class SoftPart:
    """The part of a loss against teachers' labels: its weight, and which loss it is."""

    weight: float = 1.0
    loss: SoftLoss = "kl"


def mse(
    similarity: Float[Tensor, "query doc"],
    label: Float[Tensor, "query doc"],
    known: Bool[Tensor, "query doc"],
) -> Float[Tensor, ""]:
    """Mean squared distance of the cosine from the label."""
    errors = (similarity - label)[known]
    squares = errors**2
    return squares.sum() / known.sum().clamp(min=1)


def cosent(
    similarity: Float[Tensor, "query doc"],
    label: Float[Tensor, "query doc"],
    known: Bool[Tensor, "query doc"],
    scale: float = 20.0,
) -> Float[Tensor, ""]:
    """CoSENT: log(1 + Σ exp(scale·(s_i - s_j))) over the pairs with label_i < label_j.

    Source: https://kexue.fm/archives/8847
    """
    scores = scale * similarity[known]  # (pair,)
    labels = label[known]
    is_lower = labels[:, None] < labels[None, :]  # (pair, pair)
    differences = scores[:, None] - scores[None, :]
    wrong = differences[is_lower]
    # exp(0) is the 1 in log(1 + Σ …).
    zero = wrong.new_zeros(1)
    return torch.cat([zero, wrong]).logsumexp(dim=0)


def kl(
    similarity: Float[Tensor, "query doc"],
    label: Float[Tensor, "query doc"],
    known: Bool[Tensor, "query doc"],
    temperature: float = 0.05,
    label_temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """KL divergence of the student's distribution from the labels', mean over queries.

    Both are softmaxes over a query's labelled passages, at their own temperatures. A query with
    fewer than two says nothing and is left out.
    """
    rows = known.sum(dim=1) > 1
    counted = known[rows]
    if not len(counted):
        return similarity.sum() * 0
    student = _log_shares(similarity[rows], temperature, counted)
    teacher = _log_shares(label[rows], label_temperature, counted)
    difference = (teacher - student).masked_fill(~counted, 0)  # -inf minus -inf where not counted
    divergence = (teacher.exp() * difference).sum(dim=1)  # (query,)
    return divergence.mean()


def _log_shares(
    scores: Float[Tensor, "query doc"],
    temperature: float,
    counted: Bool[Tensor, "query doc"],
) -> Float[Tensor, "query doc"]:
    """Log-softmax over the passages that count."""
    logits = scores / temperature
    return logits.masked_fill(~counted, -torch.inf).log_softmax(dim=1)


LOSSES: dict[SoftLoss, Callable[..., Tensor]] = {
    "kl": kl,
    "mse": mse,
    "cosent": cosent,
}
