"""CLP, the contrastive learning penalty (arXiv 2412.17364, section 3), for any batch size.

    loss = mean_i ( (1-λ)·contrastive_i + λ·penalty_i )
    penalty_i = mean over negatives h' of i of ( 1 - mean over h* in H*(h') of sim(h', h*) )

Contrastive learning pushes a negative away from the queries that it answers, its h*. The penalty
holds it near them.

Where we knowingly differ from the reference code: it is right at batch size 1 only, takes one h*
per negative and a literal λ. Here in-batch negatives count too. Their h* cost nothing, for they
are the batch's other queries. A negative may have several h*. One without any is left out of the
mean, and never given a wrong query.
"""

from jaxtyping import Float
from torch import Tensor

from whet.losses.infonce import contrastive, cosine
from whet.losses.parts import LossParts
from whet.losses.relations import Relations


def penalty(similarity: Float[Tensor, "doc star"], relations: Relations) -> Float[Tensor, " query"]:
    """How far each query's negatives lie from the queries that they answer: 0 where they coincide.

    `similarity` is that of passages to h* candidates. A query whose negatives have no h* gets 0.
    """
    star_count = relations.answers.sum(dim=1)  # (doc,) h* of each passage
    similarity_sum = (similarity * relations.answers).sum(dim=1)
    distance = 1 - similarity_sum / star_count.clamp(min=1)
    has_star = star_count > 0
    counted = (relations.negative & has_star).to(distance.dtype)  # (query, doc)
    return (counted @ distance) / counted.sum(dim=1).clamp(min=1)


def clp(
    query: Float[Tensor, "query dim"],
    passage: Float[Tensor, "doc dim"],
    star: Float[Tensor, "star dim"],
    relations: Relations,
    *,
    temperature: float,
    weight: float,
) -> LossParts:
    """CLP over a batch; `weight` is the paper's λ. At weight 0 it is InfoNCE.

    >>> import torch
    >>> query, passage = torch.eye(2), torch.eye(2)
    >>> same = torch.eye(2, dtype=torch.bool)
    >>> relations = Relations(positive=torch.arange(2), negative=~same, answers=same)
    >>> parts = clp(query, passage, query, relations, temperature=1.0, weight=0.1)

    The total is 0.9 · 0.3133, and every negative coincides with its own query:

    >>> round(parts.total.item(), 4), parts.values["penalty"].item()
    (0.2819, 0.0)
    """
    values = {
        "contrastive": contrastive(cosine(query, passage), relations, temperature).mean(),
        "penalty": penalty(cosine(passage, star), relations).mean(),
    }
    return LossParts(values, {"contrastive": 1 - weight, "penalty": weight})
