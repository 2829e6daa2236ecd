"""Labels from the scores of all teachers.

Proved: a teacher no better than chance is left out with a warning; without any the labels are hard,
or the call fails where nothing else is to be trained on; weights follow quality; and the summary
says what happened.
"""

import numpy as np
import pytest

from whet.errors import ConfigError
from whet.teach.config import TeachConfig
from whet.teach.quality import Quality
from whet.teach.training_labels import (
    TeacherScores,
    choose_teachers,
    labels_of,
    summarise,
)

RELEVANT = np.array([True, False, False])


def teacher(auc, *scores):
    return TeacherScores(np.array(scores), Quality(auc, 0.5, 0.25))


GOOD = teacher(0.9, 1.0, 0.5, 0.0)
BETTER = teacher(1.0, 0.8, 0.2, 0.2)
BAD = teacher(0.5, 0.0, 1.0, 1.0)


def test_a_teacher_no_better_than_chance_is_left_out(caplog):
    chosen = choose_teachers({"good": GOOD, "bad": BAD}, required=True)
    assert list(chosen) == ["good"]
    assert "teacher bad is left out: its AUC is 0.50" in caplog.text


def test_without_a_teacher_the_labels_are_hard(caplog):
    chosen = choose_teachers({"bad": BAD}, required=False)
    assert "no teacher of bad tells positives" in caplog.text
    assert "the labels are the hard ones" in caplog.text
    labels = labels_of(TeachConfig(), chosen, RELEVANT)
    assert labels.tolist() == [1.0, 0.0, 0.0]


def test_without_a_teacher_there_is_nothing_to_train_on_by_labels_alone():
    with pytest.raises(ConfigError, match=r"no teacher of bad .* better than chance"):
        choose_teachers({"bad": BAD}, required=True)


def test_teachers_count_equally_or_by_quality():
    chosen = {"good": GOOD, "better": BETTER}
    equal = labels_of(TeachConfig(labels="soft-1"), chosen, RELEVANT)
    np.testing.assert_allclose(equal, [0.9, 0.35, 0.1])
    by_quality = labels_of(TeachConfig(labels="soft-1", weigh="quality"), chosen, RELEVANT)
    expected = (0.4 * GOOD.scores + 0.5 * BETTER.scores) / 0.9
    np.testing.assert_allclose(by_quality, expected)


def test_the_hard_labels_share_is_a_setting():
    config = TeachConfig(labels="soft-2", alpha=0.25)
    labels = labels_of(config, {"good": GOOD}, RELEVANT)
    np.testing.assert_allclose(labels, [1.0, 0.375, 0.0])


def test_the_summary():
    by_teacher = {"good": GOOD, "bad": BAD}
    summary = summarise(by_teacher, {"good": GOOD}, GOOD.scores, RELEVANT)
    assert summary.to_json() == {
        "pairs": 3,
        "positives": 1,
        "mean_label_of_positives": 1.0,
        "mean_label_of_others": 0.25,
        "teachers": {
            "good": {"auc": 0.9, "auprc": 0.5, "ndcg": 0.25},
            "bad": {"auc": 0.5, "auprc": 0.5, "ndcg": 0.25},
        },
        "left_out": ["bad"],
        "agreement": [[1.0, -0.866], [-0.866, 1.0]],
    }


def test_a_summary_where_every_pair_is_a_positive():
    all_relevant = np.ones(3, bool)
    summary = summarise({"good": GOOD}, {"good": GOOD}, GOOD.scores, all_relevant)
    assert summary.mean_label_of_others is None
