import numpy as np

from mining import hashed_vectors
from whet.evaluate.retrieve import ranking_of, retrieve, retrieve_lexically
from whet.search.dense import Hits

QUERIES = {"q1": "a cat", "q2": "the dog"}
PASSAGES = {"p1": "cat sat", "p2": "dog ran", "p3": "cat and dog"}


class WordEncoder:
    fingerprint = "words"

    def encode_queries(self, texts):
        return hashed_vectors(texts)

    def encode_passages(self, texts):
        return hashed_vectors(texts)


def test_an_encoder_ranks_by_its_own_products():
    ranking = retrieve(WordEncoder(), QUERIES, PASSAGES, depth=2)
    products = hashed_vectors(list(QUERIES.values())) @ hashed_vectors(list(PASSAGES.values())).T
    for (_, ranked), row in zip(ranking.items(), products, strict=True):
        best = np.argsort(-row)[:2]
        assert list(ranked) == [list(PASSAGES)[passage] for passage in best]
        np.testing.assert_allclose(list(ranked.values()), row[best], rtol=1e-5)
    assert list(ranking) == list(QUERIES)


def test_bm25_ranks_only_what_shares_a_term():
    assert list(retrieve_lexically(QUERIES, PASSAGES)["q1"]) == ["p1", "p3"]
    assert retrieve_lexically({"q": "nothing"}, {"p": "zebra"}) == {"q": {}}


def test_hits_without_a_passage_are_left_out():
    hits = Hits(np.array([[1, 0], [1, -1]]), np.array([[0.5, 0.25], [0.75, 0.0]], np.float32))
    ranking = ranking_of(hits, ["q", "r"], ["a", "b"])
    assert ranking == {"q": {"b": 0.5, "a": 0.25}, "r": {"b": 0.75}}
