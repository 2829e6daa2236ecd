"""Neighbours against a plain loop over the pairs of each query's ranking."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.mine.neighbours import neighbours
from whet.records import Collection, Passage


def collection_of(rng, queries, passages):
    texts = {
        f"p{number}": Passage(f"p{number}", f"text {number % (passages - 1)}")
        for number in range(passages)
    }
    train = {
        f"q{q}": {f"p{p}": 1 for p in rng.choice(passages, rng.integers(1, 3), replace=False)}
        for q in range(queries)
    }
    test = {"q0": {"p1": 1}}
    return Collection(
        "pairs",
        texts,
        {f"q{q}": f"query {q}" for q in range(queries)},
        {"train": train, "test": test},
    )


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 9), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_neighbours_are_the_best_ranked_pairs_that_do_not_answer(seed, queries, passages, k):
    rng = np.random.default_rng(seed)
    data = collection_of(rng, queries, passages)
    pairs = [
        (query, passage)
        for query, positives in data.positives("train").items()
        for passage in positives
    ]
    query_vectors = rng.standard_normal((queries, 3)).astype(np.float32)
    passage_vectors = rng.standard_normal((passages, 3)).astype(np.float32)
    found = neighbours(data, query_vectors, passage_vectors, pairs, k)
    assert found.shape == (len(pairs), k)
    assert found.dtype == np.int32
    for row, (query, _) in enumerate(pairs):
        answers = {p for split in data.qrels for p in data.positives(split).get(query, ())}
        contents = {data.passages[p].content for p in answers}
        trained = sorted(
            {passage for _, passage in pairs if data.passages[passage].content not in contents}
        )
        scores = {
            p: float(query_vectors[int(query[1:])] @ passage_vectors[int(p[1:])]) for p in trained
        }
        expected = sorted(trained, key=lambda p, scores=scores: -scores[p])[:k]
        assert [pairs[other][1] for other in found[row] if other >= 0] == expected
        assert (found[row, len(expected) :] == -1).all()


def test_a_passage_of_several_pairs_lends_each_of_them():
    texts = {f"p{number}": Passage(f"p{number}", f"text {number}") for number in range(3)}
    train = {"a": {"p0": 1}, "b": {"p0": 1}, "c": {"p1": 1}, "d": {"p2": 1}}
    data = Collection("lending", texts, {query: query for query in train}, {"train": train})
    pairs = [("a", "p0"), ("b", "p0"), ("c", "p1"), ("d", "p2")]
    found = neighbours(data, np.eye(4, 3, dtype=np.float32), np.eye(3, dtype=np.float32), pairs, 2)
    assert {0, 1} == {int(found[2][found[2] < 2][0]), int(found[3][found[3] < 2][0])}
