"""What is known of a query, against its definition written out pair by pair."""

import numpy as np
import pytest

from mining import random_collection
from whet.mine.known import judged_pairs, known_positives
from whet.records import Collection, Passage

DATA = Collection(
    "known",
    {name: Passage(name, text) for name, text in zip("abcd", ["x", "y", "X ", "z"], strict=True)},
    {"q0": "query", "q1": "other", "t": "Query"},
    {"train": {"q0": {"a": 1, "d": 0}, "q1": {"b": 2}}, "test": {"t": {"b": 1}}},
)


def by_definition(data, query):
    """Ids of the passages with the text of a positive of a query with this text."""
    texts = set()
    for split in data.qrels:
        for other, passages in data.positives(split).items():
            if data.queries[other].lower() == data.queries[query].lower():
                texts.update(data.passages[p].content.strip().lower() for p in passages)
    ids = data.passages
    return {p for p in ids if data.passages[p].content.strip().lower() in texts}


def test_keys_are_query_row_times_passages_plus_passage_row():
    judged = judged_pairs(DATA)
    assert judged.positives.tolist() == [0, 4 + 1]  # q0-a, q1-b
    assert judged.elsewhere.tolist() == [1]  # t-b, and t reads like q0
    assert judged.irrelevant.tolist() == [3]  # q0-d
    assert judged.first_row_of_text.tolist() == [0, 1, 0, 3]  # c reads like a
    assert judged.keys(np.array([[3, 0], [1, 2]])).tolist() == [[3, 0], [5, 6]]
    assert [rows.tolist() for rows in judged.positive_rows()] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_known_positives_are_those_of_the_definition(seed):
    data = random_collection(seed)
    known = known_positives(data)
    assert known == {query: by_definition(data, query) for query in data.queries}
    assert any(known.values())


@pytest.mark.parametrize("data", [DATA, random_collection(1), random_collection(2)])
def test_tables_are_tested_cell_by_cell(data):
    judged = judged_pairs(data)
    queries, passages = list(data.positives("train")), list(data.passages)
    table = np.tile(np.arange(len(passages)), (len(queries), 1))
    is_known, is_irrelevant = judged.is_known_positive(table), judged.is_irrelevant(table)
    for row, query in enumerate(queries):
        known = by_definition(data, query)
        grades = data.qrels["train"][query]
        assert is_known[row].tolist() == [passage in known for passage in passages]
        assert is_irrelevant[row].tolist() == [grades.get(p, 1) <= 0 for p in passages]
    assert is_known.any()
    assert is_irrelevant.any()


def test_without_judgements_nothing_is_known():
    empty = Collection("empty", DATA.passages, {"q": "query"}, {"train": {}})
    assert known_positives(empty) == {"q": frozenset()}
    assert judged_pairs(empty).positives.dtype == np.int64
