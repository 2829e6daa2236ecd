"""How good each teacher is, and how far the teachers agree."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float64, Shaped

CHANCE_AUC = 0.5  # of a teacher that scores at random

Weights = Float64[np.ndarray, " teacher"]
Agreement = Float64[np.ndarray, "teacher teacher"]


@dataclass(frozen=True, slots=True)
class Quality:
    """One teacher's quality on labelled dev pairs.

    `auc` and `auprc` are the areas under the ROC and the precision-recall curve, over positives
    and random pairs. `ndcg` is nDCG@10 of ranking each query's positives together with the base
    model's best passages.
    """

    auc: float
    auprc: float
    ndcg: float

    @property
    def better_than_chance(self) -> bool:
        """Whether it scores a positive above a random pair more often than not."""
        return self.auc > CHANCE_AUC

    def to_json(self) -> dict[str, float]:
        """The three numbers by their names."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, float]) -> "Quality":
        """Read what `to_json` gave."""
        return cls(
            auc=values["auc"],
            auprc=values["auprc"],
            ndcg=values["ndcg"],
        )


def agreement(scores: Mapping[str, Shaped[np.ndarray, " pair"]]) -> Agreement:
    """Spearman's rank correlation between the scores of every two teachers.

    It is NaN with a teacher that gives all pairs the same score.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(teacher_scores) for teacher_scores in scores.values()]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.corrcoef(np.stack(ranks))

    # Of one teacher `corrcoef` gives the number 1.0, not a matrix.
    matrix: Agreement = np.atleast_2d(correlation)
    return matrix


def weights_by_quality(qualities: Sequence[Quality]) -> Weights:
    """Each teacher's weight, in proportion to how far its AUC lies above chance.

    The weights sum to 1. They are equal where no teacher is above chance.

    >>> weights_by_quality([Quality(0.9, 0, 0), Quality(0.6, 0, 0)]).round(2).tolist()
    [0.8, 0.2]
    """
    margins = np.array([max(0.0, quality.auc - CHANCE_AUC) for quality in qualities])
    total = margins.sum()
    if not total > 0:
        return np.full(len(qualities), 1 / len(qualities))
    weights: Weights = margins / total
    return weights
