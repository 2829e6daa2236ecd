"""The record of what training decided: through JSON and back, and as earlier versions wrote it."""

import json
from dataclasses import replace

from whet.records import InterpolationPoint
from whet.run.training_result import CandidateScore, TrainingResult

INTERPOLATED = TrainingResult(
    kept="tuned",
    judge="dev",
    judged=40,
    dev_base=0.5,
    dev_best=0.6,
    trial="all",
    trials={"all": CandidateScore(0.6, 10, 3)},
    trained_parameters=10,
    total_parameters=20,
    best_step=3,
    stopped_early=False,
    guard_base=0.7,
    guard_tuned=0.69,
    share=0.5,
    line=(InterpolationPoint(0.5, 0.6, 0.69), InterpolationPoint(1.0, 0.55, 0.6)),
)
PLAIN = replace(INTERPOLATED, guard_base=None, guard_tuned=None, share=None, line=())


def after_json(result):
    return json.loads(json.dumps(result.to_json()))


def test_a_result_comes_back_from_json():
    for result in (INTERPOLATED, PLAIN):
        assert TrainingResult.from_json(after_json(result)) == result


def test_what_does_not_apply_is_left_out():
    assert not {"guard_base", "guard_tuned", "share", "line"} & PLAIN.to_json().keys()


def test_earlier_versions_are_read():
    record = after_json(PLAIN)
    for key in ("judge", "judged", "stopped_early"):
        del record[key]
    assert TrainingResult.from_json(record) == replace(PLAIN, judged=None)


def test_the_tradeoff_starts_at_base():
    base = InterpolationPoint(0.0, 0.5, 0.7)
    assert INTERPOLATED.tradeoff == [base, *INTERPOLATED.line]
    assert replace(PLAIN, kept="base").tradeoff == [InterpolationPoint(0.0, 0.5, None)]
    assert PLAIN.tradeoff[1] == InterpolationPoint(1.0, 0.6, None)


def test_base_that_was_kept_has_weight_0():
    assert INTERPOLATED.kept_share == 0.5
    assert replace(INTERPOLATED, kept="base").kept_share == 0.0
    assert PLAIN.kept_share is None
