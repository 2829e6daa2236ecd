"""Where the base and the tuned model rank every passage for one query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from whet.data.split import same_text
from whet.evaluate.slices import QueryRow
from whet.records import Collection, Encoder, Passage, Vectors

SHOWN = 10


@dataclass(frozen=True, slots=True)
class SearchedModel:
    """One model: its name, its encoder, and its vectors of the passages, (doc, dim), in the collection's order."""

    name: str
    encoder: Encoder
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class ModelPair:
    """Two models over one collection, and test queries worth a look (`evaluate.slices.most_changed` finds them)."""

    collection: Collection
    base: SearchedModel
    tuned: SearchedModel
    examples: Sequence[QueryRow] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A passage for a query: its row in the collection, 1-based rank and score by each model, known grade or 0."""

    row: int
    passage: Passage
    base_rank: int
    tuned_rank: int
    base_score: float
    tuned_score: float
    grade: int

    @property
    def risen(self) -> int:
        """Ranks won by tuning; negative where they were lost."""
        return self.base_rank - self.tuned_rank


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The best passages by each model, and the known answers; `split` is where the query is known from."""

    query: str
    split: str | None
    base: list[Found]
    tuned: list[Found]
    answers: list[Found]


def rank_both(pairing: ModelPair, query: str, shown: int = SHOWN) -> SideBySide:
    """Rank all passages with both models; a query that the collection holds brings its known answers along."""
    split, grades = known_answers(pairing.collection, query)
    base, tuned = (_scores(side, query) for side in (pairing.base, pairing.tuned))
    base_order, tuned_order = (np.argsort(-scores, kind="stable") for scores in (base, tuned))
    base_rank, tuned_rank = (
        np.argsort(order, kind="stable") + 1 for order in (base_order, tuned_order)
    )
    passages = list(pairing.collection.passages.values())

    def found(row: int) -> Found:
        passage = passages[row]
        ranks, scores = (
            (int(base_rank[row]), int(tuned_rank[row])),
            (float(base[row]), float(tuned[row])),
        )
        return Found(row, passage, *ranks, *scores, grade=grades.get(passage.id, 0))

    answers = [found(row) for row, passage in enumerate(passages) if grades.get(passage.id, 0) > 0]
    return SideBySide(
        query=query,
        split=split,
        base=[found(row) for row in base_order[:shown].tolist()],
        tuned=[found(row) for row in tuned_order[:shown].tolist()],
        answers=sorted(answers, key=lambda answer: (answer.tuned_rank, answer.base_rank)),
    )


def known_answers(collection: Collection, query: str) -> tuple[str | None, dict[str, int]]:
    """Split that judges a query with this text, case and spaces aside, and its judgements; the test split first."""
    asked = same_text(query)
    for split in sorted(collection.qrels, key=lambda name: (name != "test", name)):
        for key, judged in collection.qrels[split].items():
            if same_text(collection.queries[key]) == asked:
                return split, judged
    return None, {}


def _scores(side: SearchedModel, query: str) -> Float32[np.ndarray, " doc"]:
    """Similarity of every passage to the query."""
    scores: Float32[np.ndarray, " doc"] = side.vectors @ side.encoder.encode_queries([query])[0]
    return scores
