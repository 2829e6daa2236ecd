"""What an embedding space looks like beside its rankings: how narrow, and how well it separates.

Anisotropy: mean cosine of random passages (Ethayarajh 2019, arXiv 1909.00512). Alignment and
uniformity: Wang and Isola 2020 (arXiv 2005.10242). Areas over labelled pairs: arXiv 2408.11868.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32

from whet.evaluate.measures import areas
from whet.records import Collection, Vectors
from whet.search.vectors import normalised

MAX_SAMPLED_TEXTS = 1000  # queries, and passages, that are looked at

Cosines: TypeAlias = Float32[np.ndarray, "query doc"]
Relevance: TypeAlias = Bool[np.ndarray, "query doc"]


@dataclass(frozen=True, slots=True)
class Space:
    """One model's space, on unit vectors.

    `anisotropy` is the mean cosine of different passages: near 1 all texts lie in one narrow cone.
    `alignment` is the mean squared distance of queries to their positives. `uniformity` is the log
    of the mean of exp(-2 · distance²) between passages. Lower is better for both. `auc` and `auprc`
    are over all pairs of the queries and their positives.
    """

    anisotropy: float
    alignment: float
    uniformity: float
    auc: float
    auprc: float

    def to_json(self) -> dict[str, float]:
        """Give all fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Space":
        """Undo `to_json`."""
        return cls(**record)


def space_of(
    query_vectors: Vectors,
    passage_vectors: Vectors,
    collection: Collection,
    split: str,
    rng: np.random.Generator,
) -> Space:
    """Measure a model's space on a split; the same generator state looks at the same texts.

    Rows of `query_vectors` follow `collection.positives(split)`, rows of `passage_vectors` follow
    `collection.passages`.
    """
    positives = collection.positives(split)
    query_rows = _sampled_rows(len(positives), rng)
    query_ids = list(positives)
    sampled_ids = [query_ids[row] for row in query_rows]

    # Each sampled query is compared with the positives of all sampled queries. Two queries with 2
    # and 1 positives give a table of 2 × 3 pairs, of which 3 are relevant.
    answer_ids: dict[str, None] = {}
    for query_id in sampled_ids:
        for passage_id in positives[query_id]:
            answer_ids[passage_id] = None
    row_of = {passage_id: row for row, passage_id in enumerate(collection.passages)}
    answer_rows = [row_of[passage_id] for passage_id in answer_ids]

    queries = normalised(query_vectors[query_rows])
    answers = normalised(passage_vectors[answer_rows])
    cosines: Cosines = queries @ answers.T
    is_relevant = _relevance(collection, sampled_ids, list(answer_ids))
    auc, auprc = _areas(cosines, is_relevant)
    squared_distances = 2 - 2 * cosines[is_relevant]  # |a - b|² of unit vectors

    passage_rows = _sampled_rows(len(passage_vectors), rng)
    passages = normalised(passage_vectors[passage_rows])
    anisotropy, uniformity = spread(passages)
    return Space(
        anisotropy=anisotropy,
        alignment=float(squared_distances.mean()),
        uniformity=uniformity,
        auc=auc,
        auprc=auprc,
    )


def spread(vectors: Vectors) -> tuple[float, float]:
    """Anisotropy and uniformity of unit vectors: over all pairs of different rows.

    >>> spread(np.eye(2, dtype=np.float32))     # two directions at right angles: distance² 2
    (0.0, -4.0)
    """
    all_cosines = vectors @ vectors.T
    above_diagonal = np.triu_indices(len(vectors), 1)  # each pair once, none with itself
    cosines = all_cosines[above_diagonal].astype(np.float64)
    if not len(cosines):
        return 1.0, 0.0
    squared_distances = 2 - 2 * cosines
    potentials = np.exp(-2 * squared_distances)
    uniformity = np.log(potentials.mean())
    return float(cosines.mean()), float(uniformity)


def _areas(cosines: Cosines, is_relevant: Relevance) -> tuple[float, float]:
    """AUC and AUPRC over all pairs; 1 where nothing is irrelevant."""
    if is_relevant.all():
        return 1.0, 1.0
    return areas(cosines.ravel(), is_relevant.ravel())


def _sampled_rows(count: int, rng: np.random.Generator) -> list[int]:
    """Draw at most MAX_SAMPLED_TEXTS of `count` rows, ascending."""
    shuffled = rng.permutation(count)
    rows: list[int] = shuffled[:MAX_SAMPLED_TEXTS].tolist()
    return sorted(rows)


def _relevance(
    collection: Collection,
    query_ids: Sequence[str],
    passage_ids: Sequence[str],
) -> Relevance:
    """Whether each passage is a positive of each query, by the judgements of any split."""
    positives_of_splits = [collection.positives(split) for split in collection.qrels]
    shape = len(query_ids), len(passage_ids)
    is_relevant = np.zeros(shape, dtype=bool)
    for row, query_id in enumerate(query_ids):
        known: set[str] = set()
        for positives in positives_of_splits:
            known.update(positives.get(query_id, ()))
        for column, passage_id in enumerate(passage_ids):
            is_relevant[row, column] = passage_id in known
    return is_relevant
