"""Split names, grades and judgements."""

import pytest

from whet.data.faults import Faults
from whet.data.judgements import SPLIT_ORDER, SPLITS, add_judgement, grade_of, split_rank


def test_every_name_of_a_split_has_its_place():
    assert {SPLITS[name] for name in SPLITS} == set(SPLIT_ORDER)
    assert [split_rank(name) for name in ("train", "val", "test")] == [0, 1, 2]


@pytest.mark.parametrize(("value", "grade"), [(1, 1), ("2", 2), ("1.0", 1), (0, 0), ("-1", -1)])
def test_grades_are_whole_numbers(value, grade):
    faults = Faults()
    assert grade_of(value, "test.tsv:1", faults) == grade
    assert not faults


@pytest.mark.parametrize("value", ["high", 0.5, None, "", "inf", "nan"])
def test_anything_else_is_a_fault(value):
    faults = Faults()
    assert grade_of(value, "test.tsv:1", faults) is None
    assert [fault.kind for fault in faults] == ["bad-score"]


def test_the_same_judgement_again_is_no_fault():
    judged = {}
    faults = Faults()
    add_judgement(judged, "q", "p", 1, "test.tsv:1", faults)
    add_judgement(judged, "q", "p", 1, "test.tsv:2", faults)
    assert not faults
    add_judgement(judged, "q", "p", 2, "test.tsv:3", faults)
    assert [(fault.kind, fault.where) for fault in faults] == [("contradiction", "test.tsv:3")]
    assert judged == {"q": {"p": 1}}
