"""Which pairs teachers score.

Proved: pairs keep their order and store each text once; every positive, mined negative and cross
pair is labelled; positives of other splits and synthetic queries are not; random pairs follow their
seed.
"""

from dataclasses import replace

import numpy as np
import pytest

from whet.records import Collection, MinedQuery, Negative, Passage
from whet.teach.pairs import PairHashes, pairs_of, random_pairs, training_pairs

PASSAGES = {name: Passage(name, f"text of {name}") for name in "abcde"}
QUERIES = {"q1": "one", "q2": "two", "q3": "three"}
QRELS = {"train": {"q1": {"a": 1}, "q2": {"b": 1, "c": 0}}, "test": {"q3": {"d": 1}}}
COLLECTION = Collection("letters", PASSAGES, QUERIES, QRELS)
KNOWN = {
    "q1": frozenset({"a"}),
    "q2": frozenset({"b"}),
    "q3": frozenset({"d"}),
}


def mined(query, *passages):
    negatives = [Negative(passage, 1, 0.5, "ance") for passage in passages]
    return MinedQuery(query, tuple(negatives))


def test_pairs_store_each_text_once_and_keep_their_order():
    pairs = pairs_of(COLLECTION, [("q2", "b"), ("q1", "b"), ("q2", "a")])
    assert pairs.queries == ["two", "one"]
    assert pairs.passages == ["text of b", "text of a"]
    assert pairs.query_rows.tolist() == [0, 1, 0]
    assert pairs.passage_rows.tolist() == [0, 0, 1]
    assert len(pairs) == 3


def test_a_hash_belongs_to_a_text():
    pairs = pairs_of(COLLECTION, [("q2", "b"), ("q1", "b"), ("q2", "a")])
    hashes = pairs.hashes(0, 3)
    assert hashes.passages[0] == hashes.passages[1] != hashes.passages[2]
    assert hashes.queries[0] == hashes.queries[2] != hashes.queries[1]
    assert len(set(hashes.keys.tolist())) == 3
    later = pairs_of(COLLECTION, [("q2", "a")])
    assert later.hashes(0, 1).keys.tolist() == pairs.hashes(2, 9).keys.tolist()
    assert hashes.take(np.array([2])).keys.tolist() == later.hashes(0, 1).keys.tolist()


def test_keys_of_many_pairs_differ():
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 2**64, 200, np.uint64)
    passages = rng.integers(0, 2**64, 200, np.uint64)
    pairs = PairHashes(np.repeat(queries, 200), np.tile(passages, 200))
    assert len(np.unique(pairs.keys)) == 200 * 200


def test_positives_mined_negatives_and_cross_pairs_are_labelled():
    negatives = [mined("q1", "e"), mined("q2", "e", "c")]
    without_cross = training_pairs(COLLECTION, negatives, KNOWN, cross_pairs=3)
    assert without_cross == [("q1", "a"), ("q2", "b"), ("q1", "e"), ("q2", "e"), ("q2", "c")]
    with_cross = training_pairs(COLLECTION, negatives, KNOWN, cross_pairs=4)
    assert with_cross == [*without_cross, ("q1", "b"), ("q2", "a")]


def test_a_synthetic_query_is_not_labelled():
    pairs = training_pairs(COLLECTION, [mined("synthetic", "e")], KNOWN, cross_pairs=0)
    assert pairs == [("q1", "a"), ("q2", "b")]


def test_a_pair_that_another_split_judges_is_not_labelled():
    known = {**KNOWN, "q1": frozenset({"a", "b"})}
    pairs = training_pairs(COLLECTION, [mined("q1", "b", "e")], known, cross_pairs=4)
    assert ("q1", "b") not in pairs
    assert ("q1", "e") in pairs
    assert ("q2", "a") in pairs


@pytest.mark.parametrize("count", [1, 50])
def test_random_pairs_are_of_training_queries_and_follow_their_seed(count):
    pairs = random_pairs(COLLECTION, count, seed=1)
    assert pairs.queries == ["one", "two"]
    assert len(pairs.passages) == len(PASSAGES)
    assert len(pairs) == count
    again = random_pairs(COLLECTION, count, seed=1)
    assert np.array_equal(pairs.query_rows, again.query_rows)
    assert np.array_equal(pairs.passage_rows, again.passage_rows)


def test_texts_with_lone_surrogates_can_be_hashed():
    odd = replace(COLLECTION, queries={**QUERIES, "q1": "\ud800"})
    assert len(pairs_of(odd, [("q1", "a")]).hashes(0, 1).keys) == 1
