"""Calibration and soft labels as pure functions.

Proved: labels and calibrated scores stay in [0, 1]; soft-1 does not care for the order of teachers and is the teacher
where there is one; soft-2 at α = 1 and every label of agreeing teachers are the hard label; soft-3 lies between; ranks
and min-max keep the order, the background says how unusual a score is; areas and weights are the textbook's.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.errors import ConfigError
from whet.evaluate.measures import areas
from whet.teach.calibrate import calibrated
from whet.teach.labels import hard, label, soft_1, soft_2, soft_3
from whet.teach.quality import Quality, agreement, weights_by_quality

KINDS = ("hard", "soft-1", "soft-2", "soft-3")
numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)


@st.composite
def taught(draw):
    """Calibrated scores (teacher, pair) and judgements."""
    teachers, pairs = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    unit = st.floats(0, 1, allow_nan=False)
    scores = draw(
        st.lists(
            st.lists(unit, min_size=pairs, max_size=pairs), min_size=teachers, max_size=teachers
        )
    )
    return np.array(scores), np.array(
        draw(st.lists(st.integers(0, 2), min_size=pairs, max_size=pairs))
    )


@given(taught(), st.floats(0, 1))
def test_every_label_is_in_the_unit_interval(found, alpha):
    scores, relevant = found
    for kind in KINDS:
        made = label(kind, scores, relevant, alpha=alpha)
        assert made.shape == relevant.shape
        assert ((made >= -1e-12) & (made <= 1 + 1e-12)).all(), kind


@given(taught(), st.randoms(use_true_random=False))
def test_soft_1_does_not_care_for_the_order_of_teachers(found, random):
    scores, _ = found
    order = list(range(len(scores)))
    random.shuffle(order)
    np.testing.assert_allclose(soft_1(scores[order]), soft_1(scores), atol=1e-12)


@given(taught())
def test_where_labels_meet(found):
    scores, relevant = found
    assert np.array_equal(soft_1(scores[:1]), scores[0])
    assert np.array_equal(soft_2(scores, relevant, alpha=1.0), hard(relevant))
    np.testing.assert_allclose(soft_2(scores, relevant, alpha=0.0), soft_1(scores))
    for kind in KINDS[1:]:
        agreeing = np.repeat(hard(relevant)[None], 3, axis=0)
        np.testing.assert_allclose(label(kind, agreeing, relevant), hard(relevant))
    envelope = soft_3(scores, relevant)
    side = np.where(
        relevant > 0, envelope >= soft_1(scores) - 1e-12, envelope <= soft_1(scores) + 1e-12
    )
    assert side.all()


@settings(deadline=None)  # the first call imports scipy
@given(
    st.lists(st.tuples(numbers, st.integers(0, 3)), min_size=1, max_size=30),
    st.sampled_from(["minmax", "rank"]),
)
def test_within_a_query_the_order_stays(rows, how):
    scores, group = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = calibrated(scores, group, how)
    assert ((found >= 0) & (found <= 1)).all()
    for query in set(group.tolist()):
        mine = group == query
        order = np.argsort(scores[mine], kind="stable")
        assert (np.diff(found[mine][order]) >= -1e-12).all()
        if len(set(scores[mine].tolist())) > 1 and how == "rank":
            assert found[mine].min() == 0
            assert found[mine].max() == 1


def test_a_background_says_how_unusual_a_score_is():
    background = np.random.default_rng(0).normal(0.7, 0.05, 10_000)
    found = calibrated(np.array([0.7, 0.8, 0.5]), np.zeros(3, int), "background", background)
    np.testing.assert_allclose(found, [0.5, 0.977, 0.0], atol=0.01)
    assert calibrated(
        np.array([1.0, 2.0]), np.zeros(2, int), "background", np.ones(5)
    ).tolist() == [0.5, 1.0]
    with pytest.raises(ValueError, match="random pairs"):
        calibrated(np.ones(1), np.zeros(1, int), "background")


def test_as_they_are():
    assert calibrated(np.array([-0.2, 0.4, 1.7]), np.zeros(3, int), "none").tolist() == [
        0.0,
        0.4,
        1.0,
    ]


def test_areas_agreement_and_weights():
    relevant = np.array([1, 0, 1, 0])
    assert areas(np.array([0.9, 0.1, 0.8, 0.3]), relevant) == (1.0, 1.0)
    auc, auprc = areas(np.array([0.9, 0.8, 0.7, 0.1]), relevant)
    assert (auc, round(auprc, 4)) == (0.75, 0.8333)
    with pytest.raises(ConfigError, match="4 of 4 labelled pairs are positive"):
        areas(np.ones(4), np.ones(4))
    same = agreement(
        {"a": np.array([1, 2, 3]), "b": np.array([10, 20, 25]), "c": np.array([3, 2, 1])}
    )
    np.testing.assert_allclose(same, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    qualities = [Quality(auc, 0, 0) for auc in (0.9, 0.7, 0.4)]
    np.testing.assert_allclose(weights_by_quality(qualities), [2 / 3, 1 / 3, 0])
    assert [one.better_than_chance for one in qualities] == [True, True, False]
    assert weights_by_quality(qualities[2:]).tolist() == [1.0]
