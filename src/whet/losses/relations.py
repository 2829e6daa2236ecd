"""Who is whose positive, negative and h* in a batch: the masks that every loss reads and nobody else decides.

`doc` runs over the passages of the batch, `star` over its queries and the positive queries of its negatives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from whet.encoder.tokens import Features, token_rows


@dataclass(frozen=True, slots=True)
class Relations:
    """The relations between the queries and passages of one batch.

    `positive[i]` is the passage that query i is drawn to; `negative[i, j]` holds where passage j may be pushed away
    from query i, so it is False for every known positive of i; `answers[j, s]` holds where passage j answers query s.
    `label[i, j]` is what the teachers say of the two, in [0, 1], and NaN where they were not asked.
    """

    positive: Int[Tensor, " query"]
    negative: Bool[Tensor, "query doc"]
    answers: Bool[Tensor, "doc star"]
    label: Float[Tensor, "query doc"] | None = None


def relations_of(
    columns: Sequence[Features],
    queries_per_negative: int,
    in_batch: bool,
    blank: Sequence[int] = (),
) -> Relations:
    """Relations of a plain sentence-transformers batch, read off its columns.

    Columns: query, positive, then for each hard negative its text and `queries_per_negative` queries that it answers
    (an empty text where there is none; `blank` is its tokens). Passages are the positives followed by each negative
    column; `star` is the query column followed by each column of negatives' queries.

    Without ids, texts tell what is known: a row's positive answers its query and a negative answers its own queries,
    wherever in the batch the same texts stand; what answers a query is never its negative. A query that stands in
    `star` twice counts once.

    Raises ValueError when the columns do not divide into negatives with that many queries each.
    """
    step = 1 + queries_per_negative
    if len(columns) < 2 or (len(columns) - 2) % step:
        raise ValueError(
            f"{len(columns)} columns came; expected query, positive and then, for each negative, its text and "
            f"{queries_per_negative} of its queries. Set queries_per_negative to what your columns hold."
        )
    query, positive, *extra = numbered(columns)
    passage, star, facts = [positive], [query], [(positive, query)]
    for place, (text, column) in enumerate(zip(extra, columns[2:], strict=True)):
        if place % step == 0:
            passage.append(text)
        else:
            star.append(text)
            facts.append((passage[-1].masked_fill(is_blank(column, blank), -1), text))
    passages, stars = torch.cat(passage), torch.cat(star)
    answering, answered = (torch.cat(side) for side in zip(*facts, strict=True))
    answers = (same(passages, answering).float() @ same(answered, stars).float()) > 0
    row = torch.arange(len(query), device=query.device)
    own = same(row, torch.cat([torch.full_like(row, -1), *[row] * (len(passage) - 1)]))
    return Relations(
        positive=row,
        negative=~answers[:, : len(row)].T & (in_batch | own),
        answers=answers & ~same(stars, stars).tril(-1).any(dim=1),
    )


def numbered(columns: Sequence[Features]) -> list[Int[Tensor, " row"]]:
    """A number for every text, column by column: equal numbers, equal tokens."""
    number: dict[tuple[int, ...], int] = {}
    device = columns[0]["input_ids"].device
    return [
        torch.tensor(
            [number.setdefault(row, len(number)) for row in token_rows(column)], device=device
        )
        for column in columns
    ]


def same(left: Int[Tensor, " left"], right: Int[Tensor, " right"]) -> Bool[Tensor, "left right"]:
    """Where two lists hold the same number."""
    return left[:, None] == right


def is_blank(features: Features, blank: Sequence[int]) -> Bool[Tensor, " row"]:
    """Rows of an empty text: after the prompt, if there is one, they end as `blank` does, the tokens of "" alone."""
    prompt = int(torch.as_tensor(features.get("prompt_length", 0)).flatten()[0])
    rests = [row[prompt:] for row in token_rows(features)]
    found = [rest == tuple(blank[len(blank) - len(rest) :]) for rest in rests]
    return torch.tensor(found, device=features["input_ids"].device)
