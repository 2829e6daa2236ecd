"""Calibration as a pure function.

Proved: calibrated scores stay in [0, 1]; ranks and min-max keep the order; the background says how
unusual a score is.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.teach.calibrate import calibrated

numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)
scored_queries = st.lists(st.tuples(numbers, st.integers(0, 3)), min_size=1, max_size=30)


@settings(deadline=None)  # the first call imports scipy
@given(scored_queries, st.sampled_from(["minmax", "rank"]))
def test_within_a_query_the_order_stays(rows, how):
    scores = np.array([score for score, _ in rows])
    group = np.array([query for _, query in rows])
    result = calibrated(scores, group, how)
    assert ((result >= 0) & (result <= 1)).all()
    for query in set(group.tolist()):
        of_query = group == query
        order = np.argsort(scores[of_query], kind="stable")
        assert (np.diff(result[of_query][order]) >= -1e-12).all()
        if len(set(scores[of_query].tolist())) > 1 and how == "rank":
            assert result[of_query].min() == 0
            assert result[of_query].max() == 1


def test_a_background_says_how_unusual_a_score_is():
    background = np.random.default_rng(0).normal(0.7, 0.05, 10_000)
    scores = np.array([0.7, 0.8, 0.5])
    result = calibrated(scores, np.zeros(3, int), "background", background)
    np.testing.assert_allclose(result, [0.5, 0.977, 0.0], atol=0.01)


def test_a_background_without_spread_is_a_step():
    scores = np.array([1.0, 2.0, 0.5])
    result = calibrated(scores, np.zeros(3, int), "background", np.ones(5))
    assert result.tolist() == [0.5, 1.0, 0.0]


def test_a_background_has_to_be_given():
    with pytest.raises(ValueError, match="random pairs"):
        calibrated(np.ones(1), np.zeros(1, int), "background")


def test_without_calibration_scores_are_cut_to_the_unit_interval():
    scores = np.array([-0.2, 0.4, 1.7])
    assert calibrated(scores, np.zeros(3, int), "none").tolist() == [0.0, 0.4, 1.0]


@pytest.mark.parametrize("how", ["minmax", "rank"])
def test_equal_scores_are_in_the_middle(how):
    assert calibrated(np.full(3, 7.0), np.array([0, 1, 0]), how).tolist() == [0.5, 0.5, 0.5]
