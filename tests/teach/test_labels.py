"""Soft labels as pure functions.

Proved: labels stay in [0, 1]; soft-1 does not depend on the order of teachers and is the teacher
where there is one; soft-2 at α = 1 and every label of agreeing teachers are the hard label; soft-3
lies between.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whet.teach.labels import hard, label, soft_1, soft_2, soft_3

KINDS = ("hard", "soft-1", "soft-2", "soft-3")
unit = st.floats(0, 1, allow_nan=False)


@st.composite
def scored_pairs(draw):
    """Calibrated scores (teacher, pair) and judgements."""
    teacher_count = draw(st.integers(1, 5))
    pair_count = draw(st.integers(1, 12))
    teacher_scores = st.lists(unit, min_size=pair_count, max_size=pair_count)
    scores = draw(st.lists(teacher_scores, min_size=teacher_count, max_size=teacher_count))
    grades = draw(st.lists(st.integers(0, 2), min_size=pair_count, max_size=pair_count))
    return np.array(scores), np.array(grades)


@given(scored_pairs(), st.floats(0, 1))
def test_every_label_is_in_the_unit_interval(pairs, alpha):
    scores, relevant = pairs
    for kind in KINDS:
        labels = label(kind, scores, relevant, alpha=alpha)
        assert labels.shape == relevant.shape
        assert ((labels >= -1e-12) & (labels <= 1 + 1e-12)).all(), kind


@given(scored_pairs(), st.randoms(use_true_random=False))
def test_soft_1_does_not_depend_on_the_order_of_teachers(pairs, random):
    scores, _ = pairs
    order = list(range(len(scores)))
    random.shuffle(order)
    np.testing.assert_allclose(soft_1(scores[order]), soft_1(scores), atol=1e-12)


@given(scored_pairs())
def test_soft_1_of_one_teacher_is_its_score(pairs):
    scores, _ = pairs
    assert np.array_equal(soft_1(scores[:1]), scores[0])


@given(scored_pairs())
def test_soft_2_lies_between_hard_label_and_consensus(pairs):
    scores, relevant = pairs
    assert np.array_equal(soft_2(scores, relevant, alpha=1.0), hard(relevant))
    np.testing.assert_allclose(soft_2(scores, relevant, alpha=0.0), soft_1(scores))


@given(scored_pairs())
def test_soft_3_is_on_the_hard_labels_side_of_the_consensus(pairs):
    scores, relevant = pairs
    envelope = soft_3(scores, relevant)
    consensus = soft_1(scores)
    above = envelope >= consensus - 1e-12
    below = envelope <= consensus + 1e-12
    assert np.where(relevant > 0, above, below).all()


@given(scored_pairs())
def test_labels_of_teachers_that_agree_with_the_judgements_are_hard(pairs):
    _, relevant = pairs
    agreeing = np.repeat(hard(relevant)[None], 3, axis=0)
    for kind in KINDS:
        np.testing.assert_allclose(label(kind, agreeing, relevant), hard(relevant))
