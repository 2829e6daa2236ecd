"""InfoNCE over masked batches.

arXiv 1807.03748, eq. 4. For retrieval with hard negatives: arXiv 2004.04906, eq. 2.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from whet.losses.parts import LossParts
from whet.losses.relations import Relations


def cosine(
    left: Float[Tensor, "left dim"], right: Float[Tensor, "right dim"]
) -> Float[Tensor, "left right"]:
    """Cosine similarity of every pair."""
    return normalize(left, dim=-1) @ normalize(right, dim=-1).T


def contrastive(
    similarity: Float[Tensor, "query doc"], relations: Relations, temperature: float
) -> Float[Tensor, " query"]:
    """For each query, -log of the positive's share among the positive and the negatives.

    The shares are a softmax at `temperature`. Passages that are neither, such as another known
    positive of the query, take no part.
    """
    logits = similarity / temperature
    query = torch.arange(len(logits), device=logits.device)
    counted = relations.negative.clone()
    counted[query, relations.positive] = True
    log_sum = logits.masked_fill(~counted, -torch.inf).logsumexp(dim=1)
    return log_sum - logits[query, relations.positive]


def info_nce(
    query: Float[Tensor, "query dim"],
    passage: Float[Tensor, "doc dim"],
    relations: Relations,
    *,
    temperature: float,
) -> LossParts:
    """Mean InfoNCE over the queries, similarities by cosine.

    >>> query, passage = torch.eye(2), torch.eye(2)
    >>> same = torch.eye(2, dtype=torch.bool)
    >>> relations = Relations(positive=torch.arange(2), negative=~same, answers=same)
    >>> parts = info_nce(query, passage, relations, temperature=1.0)
    >>> round(parts.total.item(), 4), list(parts.values)       # log(e + 1) - 1
    (0.3133, ['contrastive'])
    """
    mean = contrastive(cosine(query, passage), relations, temperature).mean()
    return LossParts({"contrastive": mean}, {"contrastive": 1.0})
