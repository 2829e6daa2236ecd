"""Vectors of length 1."""

import numpy as np

from whet.search.vectors import normalised


def test_every_vector_gets_length_1_and_keeps_its_direction():
    vectors = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    unit_vectors = normalised(vectors)
    assert unit_vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit_vectors, axis=1), 1, rtol=1e-6)
    cosines = (unit_vectors * vectors).sum(axis=1) / np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(cosines, 1, rtol=1e-6)


def test_a_vector_of_zeros_stays_one():
    assert not normalised(np.zeros((2, 3), np.float32)).any()
