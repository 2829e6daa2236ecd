"""The labelled pairs that measure a teacher: which they are, and what is made of their scores."""

import numpy as np

from whet.teach.dev_pairs import DEV_DEPTH, dev_pairs, draw_passages

QRELS = {"q1": {"a": 1}, "q2": {"b": 1, "c": 1}}
POSITIVES = {"q1": ["a"], "q2": ["b", "c"]}
NEAREST = {"q1": ["b", "a"], "q2": ["d"]}
DRAWN = {"q1": ["e", "a", "e"], "q2": ["f", "d"]}
KNOWN = {"q1": frozenset({"a"}), "q2": frozenset({"b", "c", "f"})}


def test_every_pair_is_scored_once():
    pairs = dev_pairs(QRELS, POSITIVES, NEAREST, DRAWN, KNOWN)
    assert pairs.scored == [
        ("q1", "a"),
        ("q1", "b"),
        ("q1", "e"),
        ("q2", "b"),
        ("q2", "c"),
        ("q2", "d"),
        ("q2", "f"),
    ]


def test_scores_of_positives_and_of_random_pairs_that_answer_nothing():
    pairs = dev_pairs(QRELS, POSITIVES, NEAREST, DRAWN, KNOWN)
    scores = np.arange(7, dtype=np.float32)
    assert pairs.positives == [("q1", "a"), ("q2", "b"), ("q2", "c")]
    assert pairs.random == [("q1", "e"), ("q2", "d")]
    assert pairs.labelled_scores(scores).tolist() == [0, 3, 4, 2, 5]
    assert pairs.is_positive.tolist() == [True, True, True, False, False]


def test_the_ranking_is_of_positives_and_nearest_passages():
    pairs = dev_pairs(QRELS, POSITIVES, NEAREST, DRAWN, KNOWN)
    scores = np.arange(7, dtype=np.float32)
    assert pairs.ranking(scores) == {"q1": {"a": 0, "b": 1}, "q2": {"b": 3, "c": 4, "d": 5}}


def test_passages_are_drawn_by_their_seed():
    drawn = draw_passages(["q1", "q2"], ["a", "b", "c"], seed=1)
    assert drawn == draw_passages(["q1", "q2"], ["a", "b", "c"], seed=1)
    assert drawn != draw_passages(["q1", "q2"], ["a", "b", "c"], seed=2)
    assert [len(passages) for passages in drawn.values()] == [DEV_DEPTH, DEV_DEPTH]
