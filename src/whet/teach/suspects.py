"""Which candidates the teachers together take for answers, though nobody has said so.

The known answers show what an answer looks like to the teachers: a logistic regression tells them from the candidates
by every teacher's score, held against random pairs and against the query's other candidates. Most candidates are no
answers, so what it takes for one stands out among them (learning from positive and unlabelled examples; Elkan and
Noto, KDD 2008).
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

Features = Float64[np.ndarray, "pair feature"]


def features(
    scores: Shaped[np.ndarray, "teacher pair"],
    group: Int64[np.ndarray, " pair"],
    background: Shaped[np.ndarray, "teacher sample"],
) -> Features:
    """Two numbers a teacher: its score's distance from random pairs' mean, and from that of the query's own pairs.

    Both in standard deviations; `group` numbers the queries. Where all scores are alike the distance is 0.
    """
    values = scores.astype(np.float64)
    against = _standard(values, background.mean(axis=1)[:, None], background.std(axis=1)[:, None])
    count = np.bincount(group)
    mean = np.stack([np.bincount(group, row) / np.maximum(count, 1) for row in values])
    square = np.stack([np.bincount(group, row**2) / np.maximum(count, 1) for row in values])
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    return np.concatenate([against, _standard(values, mean[:, group], spread[:, group])]).T


def relevance(found: Features, known: Bool[np.ndarray, " pair"]) -> Float64[np.ndarray, " pair"]:
    """Probability that a pair looks like the known answers rather than like the other candidates.

    Raises ValueError unless there are pairs of both kinds.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    if known.all() or not known.any():
        raise ValueError(
            f"{int(known.sum())} of {len(known)} pairs are known answers: both kinds are needed"
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probability: Float64[np.ndarray, " pair"] = model.fit(found, known).predict_proba(found)[:, 1]
    return probability


def _standard(values: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    standard: np.ndarray = np.divide(
        values - mean, spread, out=np.zeros_like(values), where=spread > 1e-9
    )
    return standard
