from dataclasses import replace

import pytest

from whet.records import InterpolationPoint
from whet.report import lines


def test_measures_are_times_100_with_their_interval(make_report):
    evaluation = make_report().evaluation
    first, *_ = lines.measure_lines(evaluation)
    assert [first.measure, first.base, first.tuned] == ["nDCG@5", "63.1", "95.0"]
    assert first.difference == "+31.9"
    assert first.interval.startswith("+")
    assert first.moved == "19 / 1 / 0"


def test_queries_that_gained_most_come_first(make_report):
    gained, lost = lines.changed_queries(make_report().rows)
    assert (gained.title, gained.model) == ("Gained most", "base")
    assert (lost.title, lost.model) == ("Lost most", "tuned")
    assert len(gained.rows) == 5
    assert [row.query_id for row in lost.rows] == ["q19"]


def test_experts_without_logged_shares_have_a_dash(make_report):
    expert, _ = lines.expert_lines(make_report(training=()))
    assert (expert.first, expert.last, expert.test) == ("–", "–", "30 %")


def test_a_teacher_that_was_left_out_taught_nothing(make_report):
    base, other = lines.teacher_lines(make_report())
    assert (base.taught, other.taught) == ("yes", "no")
    assert base.agreement == ("1.00", "–")
    assert lines.teacher_lines(make_report(teaching=None)) == []


POINTS = [InterpolationPoint(0.0, 0.5, None), InterpolationPoint(1.0, 0.6, None)]


@pytest.mark.parametrize(
    ("share", "guard", "kept"),
    [(None, 0.8, ["", "kept"]), (0.0, None, ["kept", ""]), (1.0, 0.8, ["", "kept"])],
    ids=["not interpolated", "base kept", "tuned kept"],
)
def test_the_weight_that_was_kept_is_marked(make_report, share, guard, kept):
    tradeoff = [replace(point, guard=guard) for point in POINTS]
    rows = lines.tradeoff_lines(make_report(tradeoff=tradeoff, share=share))
    assert [line.kept for line in rows] == kept
    assert [line.share for line in rows] == ["0.00", "1.00"]
    assert {line.guard for line in rows} == {"–" if guard is None else "80.0"}


def test_there_is_no_tradeoff_without_interpolation_and_forgetting_check(make_report):
    assert lines.tradeoff_lines(make_report(tradeoff=POINTS, share=None)) == []
    assert lines.tradeoff_lines(make_report(tradeoff=(), share=0.5)) == []


def test_spaces_that_were_not_measured_have_no_lines(make_report):
    assert len(lines.space_lines(make_report())) == 5
    assert lines.space_lines(make_report(spaces={})) == []


def test_planned_refreshes_are_those_of_the_last_round(make_report):
    assert lines.planned_refreshes(make_report()) == "1,200, 2,400"
    assert lines.planned_refreshes(make_report(refreshes=())) == ""
