"""Who is whose positive, negative and h* in a batch: the masks that every loss reads.

`doc` runs over the passages of the batch, `star` over its queries and the queries that its
negatives answer (h*).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from whet.encoder.tokens import Features, token_rows

NO_TEXT = -1  # the number of a text that is not there


@dataclass(frozen=True, slots=True)
class Relations:
    """The relations between the queries and passages of one batch.

    `positive[i]` is the passage that query i is drawn to. `negative[i, j]` says whether passage j
    may be pushed away from query i; it is False for every known positive of i. `answers[j, s]`
    says whether passage j answers query s. `label[i, j]` is the teachers' label of the two, in
    [0, 1], and NaN where they have none.
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

    Columns: query, positive, then for each hard negative its text and `queries_per_negative`
    queries that it answers (an empty text where there is none; `blank` is its tokens). Passages
    are the positives followed by each negative column. `star` is the query column followed by each
    column of negatives' queries.

    Without ids, texts tell what is known. A row's positive answers its query, and a negative
    answers its own queries, wherever in the batch the same texts stand. What answers a query is
    never its negative. A query that stands in `star` twice counts once.

    Raises ValueError when the columns do not divide into negatives with that many queries each.
    """
    step = 1 + queries_per_negative
    _check_columns(len(columns), queries_per_negative)
    query, positive, *others = numbered(columns)
    passage_columns = [positive]
    star_columns = [query]
    # Facts "this passage answers this query", as two lists of texts.
    fact_passages = [positive]
    fact_queries = [query]
    for place, text in enumerate(others):
        if place % step == 0:
            passage_columns.append(text)
        else:
            is_empty = is_blank(columns[2 + place], blank)
            negative_text = passage_columns[-1].masked_fill(is_empty, NO_TEXT)
            star_columns.append(text)
            fact_passages.append(negative_text)
            fact_queries.append(text)
    star = torch.cat(star_columns)
    passage = torch.cat(passage_columns)
    # (doc, fact) times (fact, star) counts the facts that join a passage and a query. For the facts
    # "a answers q" and "c answers s":
    #   passages a c: 1 0 / 0 1     queries q r s: 1 0 0 / 0 0 1     product: a: 1 0 0, c: 0 0 1
    facts_of_passage = same(passage, torch.cat(fact_passages)).float()
    facts_of_star = same(torch.cat(fact_queries), star).float()
    answers = (facts_of_passage @ facts_of_star) > 0

    row_count = len(query)
    answers_query = answers[:, :row_count]
    negative = ~answers_query.T
    if not in_batch:
        is_own = own_negatives(row_count, len(passage_columns) - 1)
        negative &= is_own.to(negative.device)
    return Relations(
        positive=torch.arange(row_count, device=query.device),
        negative=negative,
        answers=answers & ~is_repeat(star),
    )


def _check_columns(count: int, queries_per_negative: int) -> None:
    """Raise ValueError when so many columns are not a query, a positive and whole negatives."""
    other_count = count - 2
    if other_count < 0 or other_count % (1 + queries_per_negative):
        raise ValueError(
            f"{count} columns came; expected query, positive and then, for each negative, "
            f"its text and {queries_per_negative} of its queries. Set queries_per_negative to "
            "what your columns hold."
        )


def numbered(columns: Sequence[Features]) -> list[Int[Tensor, " row"]]:
    """A number for every text, column by column: equal numbers, equal tokens."""
    number: dict[tuple[int, ...], int] = {}
    device = columns[0]["input_ids"].device
    numbers = []
    for column in columns:
        rows = token_rows(column)
        of_column = [number.setdefault(row, len(number)) for row in rows]
        numbers.append(torch.tensor(of_column, device=device))
    return numbers


def same(
    left: Int[Tensor, " left"],
    right: Int[Tensor, " right"],
) -> Bool[Tensor, "left right"]:
    """Where two lists hold the same number."""
    return left[:, None] == right


def own_negatives(row_count: int, column_count: int) -> Bool[Tensor, "query doc"]:
    """Where a passage stands in a negative column of the query's own row.

    Two rows and one negative column, that is passages a b (the positives) and c d (the negatives):

        row 0    .  .    c  .
        row 1    .  .    .  d
    """
    own_row = torch.eye(row_count, dtype=torch.bool)
    no_positive = torch.zeros_like(own_row)
    return torch.cat([no_positive, *[own_row] * column_count], dim=1)


def is_repeat(texts: Int[Tensor, " star"]) -> Bool[Tensor, " star"]:
    """Where a text stands a second time: F F T F for the texts 5 6 5 7.

    Below its diagonal, the matrix of equal texts compares each text with those before it.
    """
    return same(texts, texts).tril(-1).any(dim=1)


def is_blank(features: Features, blank: Sequence[int]) -> Bool[Tensor, " row"]:
    """Rows of an empty text; `blank` are the tokens of "" without a prompt.

    A prompt's length counts the special tokens before it. Behind a prompt, an empty text therefore
    leaves the end of `blank` only. For a BERT, whose `blank` is [CLS] [SEP]:

        no prompt             [CLS] [SEP]            all of it is `blank`: empty
        a prompt of 3 tokens  [CLS] find : [SEP]     the rest, [SEP], ends `blank`: empty
        the same prompt       [CLS] find : oil [SEP] the rest, oil [SEP], does not
    """
    prompt_lengths = torch.as_tensor(features.get("prompt_length", 0))  # one number, or one a row
    prompt_length = int(prompt_lengths.flatten()[0])
    is_empty = []
    for row in token_rows(features):
        rest = row[prompt_length:]
        end_of_blank = blank[len(blank) - len(rest) :]
        is_empty.append(rest == tuple(end_of_blank))
    device = features["input_ids"].device
    return torch.tensor(is_empty, device=device)
