"""How good teachers are, and how far they agree: who is worth listening to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped

CHANCE = 0.5  # the AUC of a coin


@dataclass(frozen=True, slots=True)
class Quality:
    """One teacher on labelled dev pairs.

    `auc` and `auprc` (areas under the ROC and the precision-recall curve) are over positives and random pairs, `ndcg`
    is nDCG@10 of ranking each query's positives and the base model's best passages.
    """

    auc: float
    auprc: float
    ndcg: float

    @property
    def better_than_chance(self) -> bool:
        """Whether it ranks positives above others more often than not."""
        return self.auc > CHANCE


def agreement(
    scores: Mapping[str, Shaped[np.ndarray, " pair"]],
) -> Float64[np.ndarray, "teacher teacher"]:
    """Spearman's rank correlation between the teachers' scores; NaN with one that scores all pairs alike."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(one) for one in scores.values()])
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Float64[np.ndarray, "teacher teacher"] = np.atleast_2d(np.corrcoef(ranks))
    return found


def weights_by_quality(found: Sequence[Quality]) -> Float64[np.ndarray, " teacher"]:
    """Weights that sum to 1, in proportion to how far each teacher's AUC lies above chance; equal where none does."""
    above = np.array([max(0.0, one.auc - CHANCE) for one in found])
    return above / above.sum() if above.sum() > 0 else np.full(len(found), 1 / len(found))
