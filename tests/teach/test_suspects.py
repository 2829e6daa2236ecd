"""What tells answers from candidates: features are distances in standard deviations."""

import numpy as np
import pytest

from whet.teach.suspects import features, relevance


def test_features_are_distances_in_standard_deviations():
    scores = np.array([[1.0, 3.0, 5.0, 5.0]])
    group = np.array([0, 0, 1, 1])
    background = np.array([[1.0, 3.0]])  # mean 2, standard deviation 1
    result = features(scores, group, background)
    np.testing.assert_allclose(result, [[-1, -1], [1, 1], [3, 0], [3, 0]])


def test_features_by_loops():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, 9))
    group = np.array([0, 0, 0, 1, 1, 1, 3, 3, 3])  # no pair of query 2
    background = rng.normal(size=(2, 20))
    result = features(scores, group, background)
    for pair in range(9):
        of_query = [other for other in range(9) if group[other] == group[pair]]
        for teacher in range(2):
            sample = background[teacher]
            expected = (scores[teacher, pair] - np.mean(sample)) / np.std(sample)
            assert result[pair, teacher] == pytest.approx(expected)
            query_scores = scores[teacher, of_query]
            expected = (scores[teacher, pair] - np.mean(query_scores)) / np.std(query_scores)
            assert result[pair, 2 + teacher] == pytest.approx(expected)


def test_pairs_like_the_known_answers_are_probable():
    rng = np.random.default_rng(0)
    answers = rng.normal(3, 1, size=(30, 2))
    others = rng.normal(0, 1, size=(200, 2))
    hidden = np.array([[3.0, 3.0]])
    known = np.arange(231) < 30
    probabilities = relevance(np.concatenate([answers, others, hidden]), known)
    assert probabilities[-1] > 0.5
    assert np.median(probabilities[30:-1]) < 0.1


def test_both_kinds_of_pairs_are_needed():
    with pytest.raises(ValueError, match="2 of 2 pairs are known"):
        relevance(np.zeros((2, 2)), np.array([True, True]))
