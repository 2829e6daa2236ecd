"""The summary counts every candidate once and names the reason."""

import json

import numpy as np

from whet.mine.ance import mine_negatives
from whet.mine.config import MineConfig
from whet.mine.summary import MiningSummary
from whet.records import Collection, Passage

TEXTS = ["a", "b", "A ", "c", "d", "e", "f", "g"]
DATA = Collection(
    "reasons",
    {f"p{number}": Passage(f"p{number}", text) for number, text in enumerate(TEXTS)},
    {"q": "query", "same": "Query"},
    {"train": {"q": {"p0": 1}}, "test": {"same": {"p1": 1}}},
    {"q": ["p6", "p0"]},
)
SCORES = np.array([0.5, 0.9, 0.4, 0.95, 0.8, 0.3, 0.2, 1.0], np.float32)[:, None]
RECORD = {
    "queries": 1,
    "candidates": 9,
    "taken": {"given": 1, "ance": 1},
    "left_over": 0,
    "dropped": {
        "found_twice": 1,  # p0, given and found
        "outside_window": 1,  # p7
        "known_positive": 1,  # p0, given
        "positive_elsewhere": 1,  # p1
        "same_text_as_positive": 1,  # p2
        "above_max_score": 1,  # p3
        "likely_false_negative": 1,  # p4
    },
    "short": 0,
    "mean_negative_score": 0.25,
    "mean_positive_score": 0.5,
    "positives": 1,
    "positives_found": 1,
    "mean_positive_rank": 5.0,
    "suspected_share": 0.5,  # p3 and p4, beside the two that were taken
}


def test_the_summary_names_every_reason():
    config = MineConfig(negatives=2, skip=1, max_score=0.9, depth=7)
    mined, summary = mine_negatives(DATA, np.array([[1.0]], np.float32), SCORES, config)
    assert [(n.passage_id, n.rank, n.source) for n in mined[0].negatives] == [
        ("p6", 1, "given"),
        ("p5", 7, "ance"),
    ]
    assert summary.to_json() == RECORD
    opening = "2 hard negatives for 1 queries; 50.0% of the candidates may be answers"
    assert summary.line().startswith(opening)
    assert sum(summary.counts().values()) == summary.candidates


def test_a_summary_survives_json_and_one_of_an_earlier_version_is_read():
    summary = MiningSummary.from_json(json.loads(json.dumps(RECORD)))
    assert summary.to_json() == RECORD
    earlier = {key: value for key, value in RECORD.items() if key != "suspected_share"}
    assert MiningSummary.from_json(earlier).suspected_share == 0.0
