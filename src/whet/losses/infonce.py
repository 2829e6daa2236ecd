"""InfoNCE (arXiv 1807.03748, eq. 4; for retrieval with hard negatives: arXiv 2004.04906, eq. 2) over masked batches."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from whet.losses.relations import Relations

Parts = dict[str, Float[Tensor, ""]]
"""Named parts of a loss, already weighted: they sum to the total."""


def cosine(
    left: Float[Tensor, "left dim"], right: Float[Tensor, "right dim"]
) -> Float[Tensor, "left right"]:
    """Cosine similarity of every pair."""
    return normalize(left, dim=-1) @ normalize(right, dim=-1).T


def contrastive(
    similarity: Float[Tensor, "query doc"], relations: Relations, temperature: float
) -> Float[Tensor, " query"]:
    """-log of the positive's share among the positive and the negatives, softmax at `temperature`, for each query.

    Passages that are neither, such as another known positive of the query, take no part.
    """
    logits = similarity / temperature
    row = torch.arange(len(logits), device=logits.device)
    counted = relations.negative.clone()
    counted[row, relations.positive] = True
    return (
        logits.masked_fill(~counted, -torch.inf).logsumexp(dim=1) - logits[row, relations.positive]
    )


def info_nce(
    query: Float[Tensor, "query dim"],
    passage: Float[Tensor, "doc dim"],
    relations: Relations,
    *,
    temperature: float,
) -> tuple[Float[Tensor, ""], Parts]:
    """Mean InfoNCE over the queries, similarities by cosine.

    >>> query, passage = torch.eye(2), torch.eye(2)
    >>> relations = Relations(torch.arange(2), ~torch.eye(2, dtype=torch.bool), torch.eye(2, dtype=torch.bool))
    >>> total, parts = info_nce(query, passage, relations, temperature=1.0)
    >>> round(total.item(), 4), sorted(parts)       # log(e + 1) - 1
    (0.3133, ['contrastive'])
    """
    total = contrastive(cosine(query, passage), relations, temperature).mean()
    return total, {"contrastive": total}
