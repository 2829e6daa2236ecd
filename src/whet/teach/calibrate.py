"""Scores of any scale as numbers in [0, 1], so that teachers can be averaged.

This is our addition to arXiv 2408.11868. One model gives unrelated pairs 0.7, another 0.1, and
BM25 has no upper bound. Averaged as they are, the teacher with the widest range would decide.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, Shaped

Calibration = Literal["none", "minmax", "rank", "background"]

Scores = Shaped[np.ndarray, " pair"]
Calibrated = Float64[np.ndarray, " pair"]
Background = Shaped[np.ndarray, " sample"]
Group = Int64[np.ndarray, " pair"]


def calibrated(
    scores: Scores,
    group: Group,
    how: Calibration,
    background: Background | None = None,
) -> Calibrated:
    """One teacher's scores in [0, 1], where higher is still better.

    Args:
        scores: of any scale.
        group: the query of each pair, as a number.
        how: `none` takes the scores as they are, cut to [0, 1]. `minmax` spreads each query's
            scores over [0, 1]. `rank` puts them at equal distances by rank; ties share a rank. A
            query whose scores are all equal gets 0.5. `background` is the normal distribution
            function of a score's distance from the mean of random pairs' scores, in their standard
            deviations. Only `background` is comparable between queries, and only it can show that
            none of a query's passages is relevant.
        background: the teacher's scores of random pairs, for `background`.

    Raises ValueError when `background` is asked for without a sample.

    >>> calibrated(np.array([3.0, 1.0, 2.0, 5.0]), np.array([0, 0, 0, 1]), "rank").tolist()
    [1.0, 0.0, 0.5, 0.5]
    """
    values = scores.astype(np.float64)
    if how == "none":
        return values.clip(0, 1)
    if how == "background":
        return _against_background(values, background)

    from scipy.stats import rankdata

    # group        0 1 0 1
    # order        0 2 1 3      pairs sorted by query
    # starts       2            places in `order` where a new query begins
    # np.split →   [0 2] [1 3]  the rows of each query
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    result = np.empty_like(values)
    for rows in np.split(order, starts):
        query_values = values[rows]
        if how == "rank":
            query_values = rankdata(query_values)
        result[rows] = _stretched(query_values)
    return result


def _stretched(values: Calibrated) -> Calibrated:
    """One query's values spread over [0, 1]; 0.5 for each where all are equal."""
    count = len(values)
    if not count:
        return values
    spread = np.ptp(values)
    if not spread > 0:
        return np.full(count, 0.5)
    lowest = values.min()
    stretched: Calibrated = (values - lowest) / spread
    return stretched


def _against_background(values: Calibrated, background: Background | None) -> Calibrated:
    """Φ((score - mean) / standard deviation), both of the background."""
    from scipy.special import ndtr

    if background is None or not len(background):
        raise ValueError(
            "calibration against a background needs the teacher's scores of random pairs"
        )

    mean = float(np.mean(background, dtype=np.float64))
    deviation = float(np.std(background, dtype=np.float64))
    distances = values - mean
    if not deviation > 0:
        # The limit of Φ: a step at the mean.
        step: Calibrated = np.heaviside(distances, 0.5)
        return step

    result: Calibrated = ndtr(distances / deviation)
    return result
