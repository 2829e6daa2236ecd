"""Scores of any scale as numbers in [0, 1], so that teachers can be averaged (our addition to arXiv 2408.11868).

One model's unrelated pairs score 0.7, another's 0.1, and BM25 knows no bound: without this the loudest teacher wins.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64, Shaped

Calibration = Literal["none", "minmax", "rank", "background"]

Scores = Shaped[np.ndarray, " pair"]


def calibrated(
    scores: Scores,
    group: Int64[np.ndarray, " pair"],
    how: Calibration,
    background: Shaped[np.ndarray, " sample"] | None = None,
) -> Float64[np.ndarray, " pair"]:
    """One teacher's scores in [0, 1], higher still better.

    Args:
        scores: of any scale.
        group: the query of each pair, as a number.
        how: `none` takes the scores as they are, cut to [0, 1]. `minmax` spreads each query's scores over [0, 1];
            `rank` puts them at equal distances by rank, ties sharing theirs. A query whose scores are all equal gets
            0.5. `background` is the normal distribution function of a score's distance from the mean of random pairs'
            scores, in their standard deviations: it is comparable between queries, and the only one that can say
            that none of a query's passages is relevant.
        background: the teacher's scores of random pairs, for `background`.

    Raises ValueError when `background` is asked for without a sample.

    >>> calibrated(np.array([3.0, 1.0, 2.0, 5.0]), np.array([0, 0, 0, 1]), "rank").tolist()
    [1.0, 0.0, 0.5, 0.5]
    """
    values = scores.astype(np.float64)
    if how == "none":
        return values.clip(0, 1)
    if how == "background":
        return _against(values, background)
    from scipy.stats import rankdata

    found = np.empty_like(values)
    order = np.argsort(group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        part = values[rows] if how == "minmax" else rankdata(values[rows])
        spread = np.ptp(part) if len(part) else 0.0
        found[rows] = (part - part.min()) / spread if spread > 0 else 0.5
    return found


def _against(
    values: Float64[np.ndarray, " pair"], background: Shaped[np.ndarray, " sample"] | None
) -> Float64[np.ndarray, " pair"]:
    from scipy.special import ndtr

    if background is None or not len(background):
        raise ValueError(
            "calibration against a background needs the teacher's scores of random pairs"
        )
    mean, spread = (
        float(np.mean(background, dtype=np.float64)),
        float(np.std(background, dtype=np.float64)),
    )
    if not spread > 0:
        return np.where(values > mean, 1.0, np.where(values < mean, 0.0, 0.5))
    found: Float64[np.ndarray, " pair"] = ndtr((values - mean) / spread)
    return found
