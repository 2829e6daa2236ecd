"""Which unjudged candidates look to the teachers like answers.

A logistic regression tells the known answers from the candidates. It sees every teacher's score,
compared with random pairs and with the query's other candidates. Most candidates are no answers,
so those that the regression takes for answers stand out. This is learning from positive and
unlabelled examples (Elkan and Noto, KDD 2008).
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

Scores: TypeAlias = Shaped[np.ndarray, "teacher pair"]
Background: TypeAlias = Shaped[np.ndarray, "teacher sample"]
Group: TypeAlias = Int64[np.ndarray, " pair"]
Features: TypeAlias = Float64[np.ndarray, "pair feature"]
Values: TypeAlias = Float64[np.ndarray, "teacher pair"]
Probabilities: TypeAlias = Float64[np.ndarray, " pair"]

NO_SPREAD = 1e-9  # a smaller standard deviation is rounding noise around equal scores


def features(
    scores: Scores,
    group: Group,
    background: Background,
) -> Features:
    """Two numbers for each teacher, both distances in standard deviations.

    The first is the distance of a pair's score from the mean of random pairs (`background`), the
    second from the mean of all pairs of the same query. Where all scores are equal the distance is
    0. `group` numbers the queries from 0.
    """
    values = scores.astype(np.float64)
    from_background = _standardised(
        values,
        mean=background.mean(axis=1, keepdims=True),  # (teacher, 1)
        spread=background.std(axis=1, keepdims=True),
    )

    # (teacher, query)
    mean = _query_means(values, group)
    mean_of_squares = _query_means(values**2, group)
    variance = mean_of_squares - mean**2
    variance = np.maximum(variance, 0)  # rounding may leave it a little below 0
    spread = np.sqrt(variance)
    from_query = _standardised(
        values,
        mean=mean[:, group],  # (teacher, pair): the mean of each pair's query
        spread=spread[:, group],
    )

    by_feature = np.concatenate([from_background, from_query])
    return by_feature.T


def relevance(
    pair_features: Features,
    known: Bool[np.ndarray, " pair"],
) -> Probabilities:
    """Probability that a pair looks like the known answers rather than like the candidates.

    Raises ValueError unless there are pairs of both kinds.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    if known.all() or not known.any():
        count = int(known.sum())
        raise ValueError(f"{count} of {len(known)} pairs are known answers: both kinds are needed")

    scaler = StandardScaler()
    regression = LogisticRegression(max_iter=1000)
    model = make_pipeline(scaler, regression)
    model.fit(pair_features, known)

    # (pair, 2): the probabilities of being a candidate and a known answer
    both = model.predict_proba(pair_features)
    probabilities: Probabilities = both[:, 1]
    return probabilities


def _query_means(values: Values, group: Group) -> np.ndarray:
    """The mean of each teacher's values over the pairs of each query: (teacher, query)."""
    counts = np.bincount(group)
    counts = np.maximum(counts, 1)  # a query without a pair has the sum 0
    sums = [np.bincount(group, row) for row in values]
    return np.stack(sums) / counts


def _standardised(
    values: Values,
    mean: np.ndarray,
    spread: np.ndarray,
) -> Values:
    """(values - mean) / spread, and 0 where there is no spread."""
    distances: Values = np.divide(
        values - mean,
        spread,
        out=np.zeros_like(values),
        where=spread > NO_SPREAD,
    )
    return distances
