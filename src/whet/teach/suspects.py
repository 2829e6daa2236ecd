"""Which unjudged candidates look to the teachers like answers.

A logistic regression tells the known answers from the candidates. It sees every teacher's score,
compared with random pairs and with the query's other candidates. Most candidates are no answers,
so those that the regression takes for answers stand out. This is learning from positive and
unlabelled examples (Elkan and Noto, KDD 2008).
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

Features: TypeAlias = Float64[np.ndarray, "pair feature"]
PerTeacherAndPair: TypeAlias = Float64[np.ndarray, "teacher pair"]

NO_SPREAD = 1e-9  # a smaller standard deviation is rounding noise around equal scores


def features(
    scores: Shaped[np.ndarray, "teacher pair"],
    group: Int64[np.ndarray, " pair"],
    background: Shaped[np.ndarray, "teacher sample"],
) -> Features:
    """Two numbers for each teacher, both distances in standard deviations.

    The first is the distance of a pair's score from the mean of random pairs, the second from the
    mean of all pairs of the same query. Where all scores are equal the distance is 0. `group`
    numbers the queries from 0.
    """
    values = scores.astype(np.float64)

    # (teacher,) → (teacher, 1): the same background for all pairs of a teacher
    background_mean = background.mean(axis=1)[:, None]
    background_spread = background.std(axis=1)[:, None]
    from_background = _standardised(values, background_mean, background_spread)

    # (teacher, query), then by [:, group] one column for each pair
    query_mean = _query_means(values, group)
    query_mean_of_squares = _query_means(values**2, group)
    variance = query_mean_of_squares - query_mean**2
    query_spread = np.sqrt(np.maximum(variance, 0))  # rounding may leave it a little below 0
    from_query = _standardised(values, query_mean[:, group], query_spread[:, group])

    both = np.concatenate([from_background, from_query])
    return both.T


def relevance(
    pair_features: Features, known: Bool[np.ndarray, " pair"]
) -> Float64[np.ndarray, " pair"]:
    """Probability that a pair looks like the known answers rather than like the candidates.

    Raises ValueError unless there are pairs of both kinds.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    if known.all() or not known.any():
        count = int(known.sum())
        raise ValueError(f"{count} of {len(known)} pairs are known answers: both kinds are needed")

    regression = LogisticRegression(max_iter=1000)
    model = make_pipeline(StandardScaler(), regression)
    model.fit(pair_features, known)
    probabilities: Float64[np.ndarray, "pair kind"] = model.predict_proba(pair_features)
    return probabilities[:, 1]


def _query_means(values: PerTeacherAndPair, group: Int64[np.ndarray, " pair"]) -> np.ndarray:
    """The mean of each teacher's values over the pairs of each query: (teacher, query)."""
    counts = np.maximum(np.bincount(group), 1)  # a query without a pair has the sum 0
    sums = [np.bincount(group, row) for row in values]
    return np.stack(sums) / counts


def _standardised(
    values: PerTeacherAndPair, mean: np.ndarray, spread: np.ndarray
) -> PerTeacherAndPair:
    """(values - mean) / spread, and 0 where there is no spread."""
    distances: PerTeacherAndPair = np.divide(
        values - mean,
        spread,
        out=np.zeros_like(values),
        where=spread > NO_SPREAD,
    )
    return distances
