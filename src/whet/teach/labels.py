"""Soft labels from several teachers' scores (idea: arXiv 2408.11868).

The paper names Soft-1, Soft-2 and Soft-3; their formulas were not available to us. The ones here are ours.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float64, Shaped

LabelKind = Literal["hard", "soft-1", "soft-2", "soft-3"]

Scores = Float64[np.ndarray, "teacher pair"]
"""Calibrated scores, in [0, 1]."""

Label = Float64[np.ndarray, " pair"]


def hard(relevant: Shaped[np.ndarray, " pair"]) -> Label:
    """1 for a judged positive, 0 for every other pair: what soft labels are compared with."""
    return (np.asarray(relevant) > 0).astype(np.float64)


def soft_1(scores: Scores, weights: Float64[np.ndarray, " teacher"] | None = None) -> Label:
    """Consensus: ŷ = mean of the teachers' scores, weighted if wanted; with one teacher, its score."""
    found: Label = np.average(scores, axis=0, weights=weights)
    return found


def soft_2(
    scores: Scores,
    relevant: Shaped[np.ndarray, " pair"],
    alpha: float = 0.5,
    weights: Float64[np.ndarray, " teacher"] | None = None,
) -> Label:
    """Blend: ŷ = α·y + (1 - α)·consensus; at α = 1 the hard label."""
    return alpha * hard(relevant) + (1 - alpha) * soft_1(scores, weights)


def soft_3(scores: Scores, relevant: Shaped[np.ndarray, " pair"]) -> Label:
    """Envelope: the teachers' score nearest the hard label, their highest for positives and else their lowest."""
    found: Label = np.where(hard(relevant) > 0, scores.max(axis=0), scores.min(axis=0))
    return found


def label(
    kind: LabelKind,
    scores: Scores,
    relevant: Shaped[np.ndarray, " pair"],
    *,
    alpha: float = 0.5,
    weights: Float64[np.ndarray, " teacher"] | None = None,
) -> Label:
    """The label of every pair, in [0, 1]; `alpha` is soft-2's, `weights` are for soft-1 and soft-2.

    >>> scores = np.array([[0.9, 0.2], [0.7, 0.6]])
    >>> [label(kind, scores, np.array([1, 0])).round(2).tolist() for kind in ("hard", "soft-1", "soft-2", "soft-3")]
    [[1.0, 0.0], [0.8, 0.4], [0.9, 0.2], [0.9, 0.2]]
    """
    made: dict[str, Callable[[], Label]] = {
        "hard": lambda: hard(relevant),
        "soft-1": lambda: soft_1(scores, weights),
        "soft-2": lambda: soft_2(scores, relevant, alpha, weights),
        "soft-3": lambda: soft_3(scores, relevant),
    }
    return made[kind]()
