import numpy as np

from whet.search.vectors import normalised


def test_rows_get_length_one_and_a_vector_of_zeros_stays():
    vectors = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    vectors[2] = 0
    unit = normalised(vectors)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), [1, 1, 0, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(unit[0] * np.linalg.norm(vectors[0]), vectors[0], rtol=1e-6)
