"""CLP, the contrastive learning penalty (arXiv 2412.17364, section 3), for any batch size.

    loss = mean_i ( (1-λ)·contrastive_i + λ·penalty_i )
    penalty_i = mean over negatives h' of i of ( 1 - mean over h* in H*(h') of sim(h', h*) )

Contrastive learning drags a negative away from the queries that it answers, h*; the penalty holds it near them.

Where we knowingly differ from the reference code: it is right at batch size 1 only, takes one h* per negative and a
literal λ. Here in-batch negatives count too, and their h* cost nothing, for they are the batch's other queries; a
negative may have several h*; one without any is left out of the mean, never given a wrong query.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from whet.losses.infonce import Parts, contrastive, cosine
from whet.losses.relations import Relations


def penalty(similarity: Float[Tensor, "doc star"], relations: Relations) -> Float[Tensor, " query"]:
    """How far the negatives of each query lie from the queries that they answer: 0 where they coincide.

    `similarity` is that of passages to h* candidates. A query none of whose negatives has an h* gets 0.
    """
    stars = relations.answers.sum(dim=1)
    distance = 1 - (similarity * relations.answers).sum(dim=1) / stars.clamp(min=1)
    counted = (relations.negative & (stars > 0)).to(distance.dtype)
    return (counted @ distance) / counted.sum(dim=1).clamp(min=1)


def clp(
    query: Float[Tensor, "query dim"],
    passage: Float[Tensor, "doc dim"],
    star: Float[Tensor, "star dim"],
    relations: Relations,
    *,
    temperature: float,
    weight: float,
) -> tuple[Float[Tensor, ""], Parts]:
    """CLP over a batch; `weight` is the paper's λ. At weight 0 it is InfoNCE.

    >>> query, passage = torch.eye(2), torch.eye(2)
    >>> relations = Relations(torch.arange(2), ~torch.eye(2, dtype=torch.bool), torch.eye(2, dtype=torch.bool))
    >>> total, parts = clp(query, passage, query, relations, temperature=1.0, weight=0.1)
    >>> round(total.item(), 4), parts["penalty"].item()     # 0.9 · 0.3133, and every negative meets its own query
    (0.2819, 0.0)
    """
    held = contrastive(cosine(query, passage), relations, temperature).mean()
    drift = penalty(cosine(passage, star), relations).mean()
    parts = {"contrastive": (1 - weight) * held, "penalty": weight * drift}
    return torch.stack(list(parts.values())).sum(), parts
