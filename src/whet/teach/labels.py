"""Soft labels from several teachers' scores (idea: arXiv 2408.11868).

The paper names Soft-1, Soft-2 and Soft-3. Their formulas were not available to us; these are ours.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float64, Shaped

LabelKind = Literal["hard", "soft-1", "soft-2", "soft-3"]

Scores = Float64[np.ndarray, "teacher pair"]
"""Calibrated scores, in [0, 1]."""

Weights = Float64[np.ndarray, " teacher"]
Label = Float64[np.ndarray, " pair"]

Relevance = Shaped[np.ndarray, " pair"]
"""Above 0 for a judged positive."""


def hard(relevant: Relevance) -> Label:
    """1 for a judged positive, 0 for every other pair. Soft labels are compared with these."""
    return (np.asarray(relevant) > 0).astype(np.float64)


def soft_1(scores: Scores, weights: Weights | None = None) -> Label:
    """Consensus: ŷ = mean of the teachers' scores, weighted where weights are given."""
    consensus: Label = np.average(scores, axis=0, weights=weights)
    return consensus


def soft_2(
    scores: Scores,
    relevant: Relevance,
    alpha: float = 0.5,
    weights: Weights | None = None,
) -> Label:
    """Blend: ŷ = α·y + (1 - α)·consensus, where y is the hard label."""
    return alpha * hard(relevant) + (1 - alpha) * soft_1(scores, weights)


def soft_3(scores: Scores, relevant: Relevance) -> Label:
    """Envelope: the score nearest to the hard label.

    That is the teachers' highest score of a positive, and their lowest of any other pair.
    """
    highest = scores.max(axis=0)
    lowest = scores.min(axis=0)
    envelope: Label = np.where(hard(relevant) > 0, highest, lowest)
    return envelope


def label(
    kind: LabelKind,
    scores: Scores,
    relevant: Relevance,
    *,
    alpha: float = 0.5,
    weights: Weights | None = None,
) -> Label:
    """The label of every pair, in [0, 1]; `alpha` is soft-2's, `weights` are for soft-1 and soft-2.

    >>> scores = np.array([[0.9, 0.2], [0.7, 0.6]])
    >>> for kind in ("hard", "soft-1", "soft-2", "soft-3"):
    ...     print(label(kind, scores, np.array([1, 0])).round(2))
    [1. 0.]
    [0.8 0.4]
    [0.9 0.2]
    [0.9 0.2]
    """
    formulas: dict[LabelKind, Callable[[], Label]] = {
        "hard": lambda: hard(relevant),
        "soft-1": lambda: soft_1(scores, weights),
        "soft-2": lambda: soft_2(scores, relevant, alpha, weights),
        "soft-3": lambda: soft_3(scores, relevant),
    }
    formula = formulas[kind]
    return formula()
