"""Losses against soft labels, over the pairs of a batch that have one (idea: arXiv 2408.11868).

`similarity` is the student's cosine of queries and passages, `label` a number in [0, 1] for each pair, and `known` says
which pairs have one. Sentence-transformers has the same losses over columns of texts (CosineSimilarityLoss, CoSENTLoss,
DistillKLDivLoss); these are over a batch whose texts are embedded once, and mean the same (tests/losses).
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SoftLoss = Literal["kl", "mse", "cosent"]


def mse(
    similarity: Float[Tensor, "query doc"],
    label: Float[Tensor, "query doc"],
    known: Bool[Tensor, "query doc"],
) -> Float[Tensor, ""]:
    """Mean squared distance of the cosine from the label."""
    return ((similarity - label)[known] ** 2).sum() / known.sum().clamp(min=1)


def cosent(
    similarity: Float[Tensor, "query doc"],
    label: Float[Tensor, "query doc"],
    known: Bool[Tensor, "query doc"],
    scale: float = 20.0,
) -> Float[Tensor, ""]:
    """CoSENT (https://kexue.fm/archives/8847): log(1 + Σ exp(scale·(s_i - s_j))) over label_i < label_j."""
    found, wanted = scale * similarity[known], label[known]
    wrong = (found[:, None] - found[None, :])[wanted[:, None] < wanted[None, :]]
    return torch.cat([wrong.new_zeros(1), wrong]).logsumexp(dim=0)


def kl(
    similarity: Float[Tensor, "query doc"],
    label: Float[Tensor, "query doc"],
    known: Bool[Tensor, "query doc"],
    temperature: float = 0.05,
    label_temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """KL divergence of each query's passages, as the student weighs them, from how the labels do; mean over queries.

    Both are softmaxes over the query's labelled passages, at their own temperatures. Queries with fewer than two say
    nothing and are left out.
    """
    counted = known[known.sum(dim=1) > 1]
    if not len(counted):
        return similarity.sum() * 0
    rows = known.sum(dim=1) > 1
    student = (similarity[rows] / temperature).masked_fill(~counted, -torch.inf).log_softmax(dim=1)
    teacher = (label[rows] / label_temperature).masked_fill(~counted, -torch.inf).log_softmax(dim=1)
    return (teacher.exp() * (teacher - student).masked_fill(~counted, 0)).sum(dim=1).mean()


LOSSES: dict[SoftLoss, Callable[..., Float[Tensor, ""]]] = {"kl": kl, "mse": mse, "cosent": cosent}
