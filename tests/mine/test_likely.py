"""Likely positives: what scores within the margin of a query's own answer, and nothing that is known either way."""

import numpy as np

from whet.mine.config import MineConfig
from whet.mine.likely import likely_positives, read_likely, write_likely
from whet.records import Collection, Passage


def collection_of(scores, qrels):
    """A query on an axis each; passages with the cosines asked for to the first query."""
    passages = {f"p{i}": Passage(f"p{i}", f"text {i}") for i in range(len(scores))}
    queries = {f"q{i}": f"query {i}" for i in range(len(scores))}
    vectors = np.zeros((len(scores), len(scores) + 1), np.float32)
    vectors[:, 0] = scores
    vectors[np.arange(len(scores)), np.arange(len(scores)) + 1] = np.sqrt(1 - np.square(scores))
    asked = np.zeros((len(scores), len(scores) + 1), np.float32)
    asked[0, 0] = 1
    asked[np.arange(1, len(scores)), np.arange(1, len(scores)) + 1] = 1
    return Collection("made", passages, queries, {"train": qrels}), asked, vectors


def test_only_unknown_passages_within_the_margin_are_likely(tmp_path):
    scores = [0.80, 0.79, 0.77, 0.75, 0.78, 0.1]
    qrels = {f"q{i}": {f"p{i}": 1} for i in range(6)}
    qrels["q0"] |= {"p4": 0}
    found = likely_positives(*collection_of(scores, qrels), MineConfig(relative_margin=0.05))
    assert found["q0"] == ["p1", "p2"]  # 0.95 · 0.80 = 0.76; p4 was judged not relevant
    write_likely(tmp_path / "likely.jsonl", found)
    assert read_likely(tmp_path / "likely.jsonl") == found


def test_no_margin_no_doubt():
    qrels = {f"q{i}": {f"p{i}": 1} for i in range(3)}
    assert (
        likely_positives(*collection_of([0.8, 0.79, 0.9], qrels), MineConfig(relative_margin=None))
        == {}
    )
