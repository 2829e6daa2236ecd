"""Who is whose positive, negative and h* in a batch: the masks that every loss reads and nobody else decides.

`doc` runs over the passages of the batch, `star` over its queries and the positive queries of its negatives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from whet.encode import Features, same_text


@dataclass(frozen=True, slots=True)
class Relations:
    """The relations between the queries and passages of one batch.

    `positive[i]` is the passage that query i is drawn to; `negative[i, j]` holds where passage j may be pushed away
    from query i, so it is False for every known positive of i; `answers[j, s]` holds where passage j answers query s.
    """

    positive: Int[Tensor, " query"]
    negative: Bool[Tensor, "query doc"]
    answers: Bool[Tensor, "doc star"]


def relations_of(columns: Sequence[Features], queries_per_negative: int, in_batch: bool) -> Relations:
    """Relations of a plain sentence-transformers batch, read off its columns.

    Columns: query, positive, then for each hard negative its text and `queries_per_negative` queries that it answers
    (an empty text where there is none). Passages are the positives followed by each negative column; `star` is the
    query column followed by each column of negatives' queries. Without ids the only known positives are those of
    the batch itself: a passage whose text is the positive of a query is never that query's negative.

    Raises ValueError when the columns do not divide into negatives with that many queries each.
    """
    extra, step = columns[2:], 1 + queries_per_negative
    if len(columns) < 2 or len(extra) % step:
        raise ValueError(
            f"{len(columns)} columns came; expected query, positive and then, for each negative, its text and "
            f"{queries_per_negative} of its queries. Set queries_per_negative to what your columns hold."
        )
    queries, positives = columns[0], columns[1]
    rows = len(queries["input_ids"])
    docs = [positives, *extra[::step]]
    known = same_text(queries, queries).float() @ torch.cat([same_text(positives, d) for d in docs], dim=1).float() > 0
    own = torch.eye(rows, dtype=torch.bool, device=known.device)
    own = torch.cat([torch.zeros_like(own), *[own] * (len(docs) - 1)], dim=1)
    answers = torch.cat([known.T, *_star_columns(extra, step, rows, known.device)], dim=1)
    return Relations(torch.arange(rows, device=known.device), ~known & (in_batch or own), answers)


def _star_columns(
    extra: Sequence[Features], step: int, rows: int, device: torch.device
) -> list[Bool[Tensor, "doc row"]]:
    """For each column of negatives' queries, which passages answer its texts: the negative of the same row."""
    passages = rows * (1 + len(extra) // step)
    found = []
    for column, features in enumerate(extra):
        if column % step:
            answers = torch.zeros(passages, rows, dtype=torch.bool, device=device)
            row = torch.arange(rows, device=device)
            answers[(1 + column // step) * rows + row, row] = ~empty(features)
            found.append(answers)
    return found


def empty(features: Features) -> Bool[Tensor, " row"]:
    """Rows with no more tokens than the special ones around an empty text."""
    lengths: Tensor = features["attention_mask"].sum(dim=1)
    return lengths <= 2
