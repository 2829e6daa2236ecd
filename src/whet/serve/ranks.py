"""Where the base and the tuned model rank every passage for one query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from whet.data.split import same_text
from whet.evaluate.slices import QueryRow
from whet.records import Collection, Encoder, Passage, Vectors

SHOWN_PASSAGES = 10  # by each model


@dataclass(frozen=True, slots=True)
class SearchedModel:
    """One model: its name, its encoder, and its vectors of the passages.

    `vectors` are (doc, dim), in the order of the collection's passages.
    """

    name: str
    encoder: Encoder
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class ModelPair:
    """Two models over one collection, and test queries that the page offers as examples."""

    collection: Collection
    base: SearchedModel
    tuned: SearchedModel
    examples: Sequence[QueryRow] = ()


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage for a query, ranked by both models.

    `row` is its place in the collection. Ranks start at 1. `grade` is its relevance judgement, 0
    where there is none.
    """

    row: int
    passage: Passage
    base_rank: int
    tuned_rank: int
    base_score: float
    tuned_score: float
    grade: int

    @property
    def ranks_won(self) -> int:
        """Ranks that tuning won; negative where it lost some."""
        return self.base_rank - self.tuned_rank


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The first passages by each model for one query, and the query's known positives.

    `split` is the split that judges the query, None where no split does.
    """

    query: str
    split: str | None
    base: list[RankedPassage]
    tuned: list[RankedPassage]
    positives: list[RankedPassage]


def rank_both(models: ModelPair, query: str, shown: int = SHOWN_PASSAGES) -> SideBySide:
    """Rank all passages with both models, and give the first `shown` of each.

    Known positives are given whatever their rank, the best tuned rank first.
    """
    split, grades = known_grades(models.collection, query)
    base_scores = _scores(models.base, query)
    tuned_scores = _scores(models.tuned, query)
    base_order = _order(base_scores)
    tuned_order = _order(tuned_scores)
    base_ranks = _ranks(base_order)
    tuned_ranks = _ranks(tuned_order)
    passages = list(models.collection.passages.values())

    def ranked(row: int) -> RankedPassage:
        passage = passages[row]
        return RankedPassage(
            row=row,
            passage=passage,
            base_rank=int(base_ranks[row]),
            tuned_rank=int(tuned_ranks[row]),
            base_score=float(base_scores[row]),
            tuned_score=float(tuned_scores[row]),
            grade=grades.get(passage.id, 0),
        )

    positives = []
    for row, passage in enumerate(passages):
        if grades.get(passage.id, 0) > 0:
            positives.append(ranked(row))
    positives.sort(key=lambda positive: (positive.tuned_rank, positive.base_rank))
    return SideBySide(
        query=query,
        split=split,
        base=[ranked(row) for row in base_order[:shown].tolist()],
        tuned=[ranked(row) for row in tuned_order[:shown].tolist()],
        positives=positives,
    )


def known_grades(collection: Collection, query: str) -> tuple[str | None, dict[str, int]]:
    """The split that judges a query with this text, and the grades: passage id → grade.

    Case and white space do not count. The test split is looked at first. None and no grades where
    no split judges it.
    """
    text = same_text(query)
    test_first = sorted(collection.qrels, key=lambda split: (split != "test", split))
    for split in test_first:
        for query_id, grades in collection.qrels[split].items():
            if same_text(collection.queries[query_id]) == text:
                return split, grades
    return None, {}


def _scores(model: SearchedModel, query: str) -> Float32[np.ndarray, " doc"]:
    """Similarity of every passage to the query."""
    query_vector = model.encoder.encode_queries([query])[0]
    scores: Float32[np.ndarray, " doc"] = model.vectors @ query_vector
    return scores


def _order(scores: Float32[np.ndarray, " doc"]) -> Int64[np.ndarray, " doc"]:
    """Rows from the highest score to the lowest; rows of equal scores stay in order."""
    return np.argsort(-scores, kind="stable")


def _ranks(order: Int64[np.ndarray, " doc"]) -> Int64[np.ndarray, " doc"]:
    """Rank of every row, from 1.

    The order [2, 0, 1] names the rows of ranks 1, 2, 3. Sorting it gives back the place of each
    row in it: row 0 has rank 2, row 1 rank 3, row 2 rank 1.
    """
    return np.argsort(order, kind="stable") + 1
