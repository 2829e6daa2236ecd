"""Vectors of length 1, whose dot product is their cosine."""

import numpy as np

from whet.records import Vectors

MIN_LENGTH = 1e-12  # a vector of zeros stays one


def normalised(vectors: Vectors) -> Vectors:
    """Scale every row to length 1: (doc, dim) float32.

    >>> normalised(np.array([[3, 4], [0, 0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit_vectors: Vectors = vectors / np.maximum(lengths, MIN_LENGTH)
    return unit_vectors
