"""Suspects from plain values: a small collection, and teachers that know the answers.

Proved: open hits become candidates in order; a hidden answer is found and described by the scores
of every teacher; each teacher is loaded once, and none without candidates; records are read back.
"""

import numpy as np
import pytest

from whet.records import Collection, Passage
from whet.teach.audit import (
    EXCERPT_LENGTH,
    AuditSummary,
    AuditTeachers,
    Candidate,
    Suspect,
    find_suspects,
    first_answers,
    open_candidates,
)
from whet.teach.pairs import random_pairs

QUERY_COUNT = 20
PASSAGE_COUNT = 60
HIDDEN = (3, 40)  # query row and passage row of an answer that nobody marked
EXTRA = (5, 50)  # those of a second marked answer


def is_answer(query, passage):
    return query == passage or (query, passage) in (HIDDEN, EXTRA)


class Knowing:
    """Scores answers about 0.9 and other pairs about 0.1, with some noise of its own."""

    block = 100

    def __init__(self, name):
        self.name = name
        self.fingerprint = name

    def score(self, queries, passages):
        scores = []
        for query, passage in zip(queries, passages, strict=True):
            query_row = int(query.split()[1])
            passage_row = int(passage.split()[1])
            noise = np.random.default_rng([query_row, passage_row, len(self.name)]).normal()
            score = 0.9 if is_answer(query_row, passage_row) else 0.1
            scores.append(score + 0.05 * noise)
        return np.array(scores, np.float32)


@pytest.fixture(scope="module")
def numbered():
    """Query i is answered by passage i; query 5 also by passage 50; query 3 secretly by 40."""
    passages = {}
    for row in range(PASSAGE_COUNT):
        passages[f"p{row}"] = Passage(f"p{row}", f"text {row} {'x' * EXCERPT_LENGTH}")
    queries = {f"q{row}": f"query {row}" for row in range(QUERY_COUNT)}
    train = {f"q{row}": {f"p{row}": 1} for row in range(QUERY_COUNT)}
    train["q5"]["p50"] = 2
    return Collection("numbered", passages, queries, {"train": train})


@pytest.fixture(scope="module")
def candidates():
    """For each query the ten passages 20 … 59 from a place of its own, and the hidden answer."""
    listed = []
    for query_row in range(QUERY_COUNT):
        for rank in range(1, 11):
            passage_row = 20 + (query_row + 4 * rank) % 40
            if not is_answer(query_row, passage_row):
                listed.append(Candidate(query_row, passage_row, rank))
    return [*listed, Candidate(*HIDDEN, rank=11)]


@pytest.fixture
def loaded():
    """Names of the teachers that were loaded, in order."""
    return []


@pytest.fixture
def teachers(numbered, loaded, tmp_path):
    def load(name):
        loaded.append(name)
        return Knowing(name)

    background = random_pairs(numbered, 50, seed=0)
    return AuditTeachers(["one", "second"], load, tmp_path, background)


def test_a_hidden_answer_is_found(numbered, candidates, teachers, loaded):
    suspects = find_suspects(numbered, candidates, teachers, threshold=0.5)
    assert [(suspect.query_id, suspect.passage_id) for suspect in suspects] == [("q3", "p40")]
    suspect = suspects[0]
    assert suspect.rank == 11
    assert suspect.query == "query 3"
    assert len(suspect.passage) == EXCERPT_LENGTH
    assert list(suspect.scores) == ["one", "second"]
    assert loaded == ["one", "second"]


def test_the_most_probable_suspect_comes_first(numbered, candidates, teachers):
    suspects = find_suspects(numbered, candidates, teachers, threshold=1e-9)
    probabilities = [suspect.probability for suspect in suspects]
    assert len(suspects) == len(candidates)
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_suspect_is_compared_with_the_answer_that_scores_lowest(numbered, teachers):
    pair = [Candidate(5, 30, rank=1), Candidate(0, 31, rank=1)]
    suspects = find_suspects(numbered, pair, teachers, threshold=1e-9)
    suspect = next(suspect for suspect in suspects if suspect.query_id == "q5")
    for name in ("one", "second"):
        texts = [numbered.passages["p5"].content, numbered.passages["p50"].content]
        scores = Knowing(name).score(["query 5", "query 5"], texts)
        assert suspect.answer[name] == pytest.approx(min(scores), abs=1e-4)


def test_without_candidates_no_teacher_is_loaded(numbered, teachers, loaded):
    assert find_suspects(numbered, [], teachers, threshold=0.5) == []
    assert loaded == []


def test_open_hits_become_candidates_in_order():
    hits = np.array([[7, 3], [2, -1]])
    is_closed = np.array([[False, True], [False, False]])
    assert open_candidates(hits, is_closed) == [Candidate(0, 7, 1), Candidate(1, 2, 1)]
    assert open_candidates(hits, np.zeros((2, 2), bool)) == [
        Candidate(0, 7, 1),
        Candidate(0, 3, 2),
        Candidate(1, 2, 1),
    ]


def test_first_answers_are_cut(numbered):
    answers = first_answers(numbered)
    assert len(answers) == QUERY_COUNT
    assert answers["q5"] == numbered.passages["p50"].content[:EXCERPT_LENGTH]  # of the best grade


def test_a_suspect_is_read_back_and_gives_its_reason():
    suspect = Suspect("q", "p", 0.75, 4, "ask", "text", {"bm25": 12.3456}, {"bm25": 3.0})
    assert Suspect.from_json(suspect.to_json()) == suspect
    assert list(suspect.to_json()) == [
        "query_id",
        "passage_id",
        "probability",
        "rank",
        "query",
        "passage",
        "scores",
        "answer",
    ]
    assert suspect.reason == "base rank 4; bm25 12.3 (known answer 3)"


def test_the_summary():
    summary = AuditSummary(candidates=3, suspects=1)
    assert summary.to_json() == {"candidates": 3, "suspects": 1, "share": 0.33333}
    assert AuditSummary.from_json(summary.to_json()) == summary
    assert AuditSummary(0, 0).share == 0.0
