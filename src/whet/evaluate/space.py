"""What an embedding space looks like beside its rankings: how narrow it is, and how well it tells pairs apart.

Anisotropy: mean cosine of random passages (Ethayarajh 2019, arXiv 1909.00512); alignment and uniformity: Wang and Isola
2020 (arXiv 2005.10242); areas over labelled pairs: arXiv 2408.11868.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whet.evaluate.measures import areas
from whet.records import Collection, Vectors

SAMPLE = 1000  # passages, and queries, that are looked at


@dataclass(frozen=True, slots=True)
class Space:
    """One model's space, on unit vectors.

    `anisotropy` is the mean cosine of different passages: near 1 all texts lie in one narrow cone. `alignment` is the
    mean squared distance of queries to their positives, `uniformity` the log of the mean of exp(-2·distance²) between
    passages: lower is better for both. `auc` and `auprc` are over all pairs of the queries and their answers.
    """

    anisotropy: float
    alignment: float
    uniformity: float
    auc: float
    auprc: float


def space_of(
    queries: Vectors,
    passages: Vectors,
    collection: Collection,
    split: str,
    rng: np.random.Generator,
) -> Space:
    """Measure a model's space on a split; the same generator state looks at the same texts.

    Rows of `queries` follow `collection.positives(split)`, rows of `passages` follow `collection.passages`.
    """
    positives, row = (
        collection.positives(split),
        {passage: at for at, passage in enumerate(collection.passages)},
    )
    ids, asked = list(positives), _drawn(len(positives), rng)
    answers = list(dict.fromkeys(passage for at in asked for passage in positives[ids[at]]))
    cosines = _unit(queries[asked]) @ _unit(passages[[row[passage] for passage in answers]]).T
    relevant = np.array(
        [[passage in judged for passage in answers] for judged in _judged(collection, ids, asked)]
    )
    auc, auprc = areas(cosines.ravel(), relevant.ravel()) if not relevant.all() else (1.0, 1.0)
    anisotropy, uniformity = spread(_unit(passages[_drawn(len(passages), rng)]))
    return Space(anisotropy, float((2 - 2 * cosines[relevant]).mean()), uniformity, auc, auprc)


def spread(vectors: Vectors) -> tuple[float, float]:
    """Anisotropy and uniformity of unit vectors: over all pairs of different rows.

    >>> spread(np.eye(2, dtype=np.float32))     # two directions at right angles: distance² 2
    (0.0, -4.0)
    """
    cosines = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].astype(np.float64)
    if not len(cosines):
        return 1.0, 0.0
    return float(cosines.mean()), float(np.log(np.exp(-2 * (2 - 2 * cosines)).mean()))


def _drawn(count: int, rng: np.random.Generator) -> list[int]:
    drawn: list[int] = sorted(rng.permutation(count)[:SAMPLE].tolist())
    return drawn


def _judged(collection: Collection, ids: Sequence[str], rows: Sequence[int]) -> list[set[str]]:
    """The passages that answer each of some queries by the judgements of any split."""
    every = [collection.positives(split) for split in collection.qrels]
    return [{passage for split in every for passage in split.get(ids[at], ())} for at in rows]


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
