import json

import numpy as np
import pytest

from whet.evaluate.slices import QueryRow, Slice, most_changed, query_rows, slice_rows
from whet.records import Passage

QUERIES = {
    "q1": "list files",
    "q2": "copy a file to another host",
    "q3": "kill",
    "q4": "never judged",
}
PASSAGES = {
    p.id: p
    for p in (
        Passage("ls", "list the files here"),
        Passage("scp", "secure shell copy", title="Copy"),
        Passage("kill", "send a signal"),
    )
}
QRELS = {"q1": {"ls": 1, "scp": 0}, "q2": {"scp": 2, "ls": 1}, "q3": {"kill": 1}, "q4": {"ls": 0}}
BASE = {
    "q1": {"scp": 0.9, "ls": 0.8},
    "q2": {"scp": 0.9, "kill": 0.5, "ls": 0.4},
    "q3": {"ls": 0.3},
}
TUNED = {"q1": {"ls": 0.9, "scp": 0.8}, "q2": {"kill": 0.9, "ls": 0.5, "scp": 0.4}, "q3": {}}


@pytest.fixture
def rows():
    return query_rows(QUERIES, PASSAGES, QRELS, BASE, TUNED)


def test_rows_tell_ranks_words_and_overlap(rows):
    first, second, third = rows
    assert [row.query_id for row in rows] == ["q1", "q2", "q3"]
    assert (first.base_rank, first.tuned_rank) == (2, 1)
    assert (first.base_first, first.tuned_first) == ("scp", "ls")
    assert (first.words, first.overlap, first.positives, first.positive) == (2, 1.0, 1, "ls")
    assert (second.base_rank, second.tuned_rank) == (1, 2)
    assert (second.positive, second.positives) == ("scp", 2)
    assert second.overlap == pytest.approx(1 / 6)  # "copy" of six words
    assert (third.base_rank, third.tuned_rank) == (None, None)
    assert (third.tuned_first, third.difference) == ("", 0.0)
    assert first.difference == first.tuned - first.base > 0


def test_most_changed_takes_both_ends_and_no_ties(rows):
    gains, losses = most_changed(rows, 5)
    assert [row.query_id for row in gains] == ["q1"]
    assert [row.query_id for row in losses] == ["q2"]
    assert most_changed(rows, 0) == ([], [])


def test_every_kind_of_slice_covers_every_query_once():
    count = 60
    queries = {f"q{n}": " ".join(["word"] * (1 + n % 7)) for n in range(count)}
    qrels = {query: {f"p{i}": 1 for i in range(1 + n % 6)} for n, query in enumerate(queries)}
    passages = {f"p{i}": Passage(f"p{i}", "word" if i % 2 else "other") for i in range(6)}
    tuned = {query: {"p0": 1.0} for query in list(queries)[::2]}
    rows = query_rows(queries, passages, qrels, {}, tuned)
    by_kind = {}
    for part in slice_rows(rows, np.random.default_rng(0)):
        by_kind.setdefault(part.kind, []).append(part)
        assert part.interval[0] <= part.difference <= part.interval[1]
    assert len(by_kind) == 3
    total = sum(row.difference for row in rows)
    for parts in by_kind.values():
        assert sum(part.queries for part in parts) == count
        assert sum(part.queries * part.difference for part in parts) == pytest.approx(total)
    lengths = [part.label for part in by_kind["Query length"]]
    assert lengths == ["1–3 words", "4–5 words", "6–7 words"]
    assert [part.label for part in by_kind["Relevant passages"]] == ["1", "2–4", "5 or more"]


def test_terciles_are_as_even_as_they_can_be_and_small_parts_have_no_interval():
    queries = {f"q{n}": "word " * n for n in range(1, 15)}
    qrels = {query: {"p": 1} for query in queries}
    rows = query_rows(queries, {"p": Passage("p", "other")}, qrels, {}, {"q1": {"p": 1.0}})
    slices = slice_rows(rows, np.random.default_rng(0))
    by_length = slices[:3]
    assert [(part.label, part.queries) for part in by_length] == [
        ("1–5 words", 5),
        ("6–9 words", 4),
        ("10–14 words", 5),
    ]
    assert {part.interval for part in by_length} == {None}
    (alike,) = [part for part in slices if part.kind == "Relevant passages"]
    assert alike.difference == pytest.approx(1 / 14)
    assert alike.interval[0] <= alike.difference <= alike.interval[1]


def test_equal_queries_make_one_slice_and_none_makes_none(rows):
    slices = slice_rows(rows[:1], np.random.default_rng(0))
    assert [part.label for part in slices] == ["2 words", "100 %", "1"]
    assert slice_rows([], np.random.default_rng(0)) == []


def test_words_are_told_apart_in_scripts_without_spaces():
    query, text = "รถไฟไป東京", "JR駅から東京まで รถไฟ"
    (row,) = query_rows({"q": query}, {"p": Passage("p", text)}, {"q": {"p": 1}}, {}, {})
    assert row.words == 7
    assert row.overlap == pytest.approx(4 / 7)


def test_rows_and_slices_survive_json(rows):
    for row in rows:
        assert QueryRow.from_json(json.loads(json.dumps(row.to_json()))) == row
    with_interval = Slice("kind", "label", 12, 0.25, 0.5, 0.25, (0.125, 0.375))
    for part in (*slice_rows(rows, np.random.default_rng(0)), with_interval):
        assert Slice.from_json(json.loads(json.dumps(part.to_json()))) == part
