"""Quality and agreement of teachers: rank correlation and weights are the textbook's."""

import numpy as np

from whet.teach.quality import Quality, agreement, weights_by_quality


def test_agreement_is_rank_correlation():
    rising = np.array([1, 2, 3])
    also_rising = np.array([10, 20, 25])
    falling = np.array([3, 2, 1])
    matrix = agreement({"a": rising, "b": also_rising, "c": falling})
    np.testing.assert_allclose(matrix, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])


def test_agreement_with_one_teacher_or_with_equal_scores():
    assert agreement({"a": np.array([1.0, 2.0])}).tolist() == [[1.0]]
    matrix = agreement({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 3.0])})
    assert np.isnan(matrix[0, 1])


def test_weights_are_in_proportion_to_the_distance_from_chance():
    qualities = [Quality(auc, 0, 0) for auc in (0.9, 0.7, 0.4)]
    np.testing.assert_allclose(weights_by_quality(qualities), [2 / 3, 1 / 3, 0])
    assert [quality.better_than_chance for quality in qualities] == [True, True, False]


def test_weights_are_equal_where_no_teacher_is_above_chance():
    assert weights_by_quality([Quality(0.4, 0, 0)]).tolist() == [1.0]
    assert weights_by_quality([Quality(0.4, 0, 0), Quality(0.5, 0, 0)]).tolist() == [0.5, 0.5]


def test_a_quality_is_read_back():
    quality = Quality(0.9, 0.8, 0.7)
    assert quality.to_json() == {"auc": 0.9, "auprc": 0.8, "ndcg": 0.7}
    assert Quality.from_json(quality.to_json()) == quality
