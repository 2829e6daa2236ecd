"""BM25 against its formula written out, against published figures, and on unspaced scripts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from whet.search.bm25 import Bm25, character_grams, terms

WORDS = st.lists(st.sampled_from(["find", "grep", "-r", "Größe", "東大寺", "x"]), max_size=8).map(
    " ".join
)


def lucene_bm25(query, texts, k1=1.2, b=0.75):
    """Robertson and Zaragoza's sum over terms, with Lucene's idf and no (k1 + 1) factor."""
    bags = [terms(text) for text in texts]
    mean = sum(map(len, bags)) / len(bags)
    scores = []
    for bag in bags:
        score = 0.0
        for term in terms(query):
            containing = sum(term in other for other in bags)
            idf = math.log(1 + (len(bags) - containing + 0.5) / (containing + 0.5))
            count = bag.count(term)
            score += idf * count / (count + k1 * (1 - b + b * len(bag) / mean)) if count else 0.0
        scores.append(score)
    return scores


@given(st.lists(WORDS, min_size=1, max_size=12), WORDS)
@settings(max_examples=60, deadline=None)
def test_scores_are_the_formula_and_ties_go_to_the_lower_index(texts, query):
    index = Bm25(texts)
    hits = index.top_k([query], len(texts))
    expected = lucene_bm25(query, texts) if any(map(terms, texts)) else [0.0] * len(texts)
    is_hit = hits.indices[0] >= 0
    rows = hits.indices[0][is_hit]
    scores = np.zeros(len(texts), np.float32)
    scores[rows] = hits.scores[0][is_hit]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert rows.tolist() == np.argsort(-scores, kind="stable")[: len(rows)].tolist()
    assert not hits.scores[0][~is_hit].any()
    assert index.top_k([query], 2).indices[0].tolist() == hits.indices[0][:2].tolist()


@given(st.lists(WORDS, max_size=12), st.lists(WORDS, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_scores_of_pairs_are_those_of_the_search(texts, queries):
    index = Bm25(texts)
    hits = index.top_k(queries, len(texts))
    pairs = [(q, row) for q in range(len(queries)) for row in range(len(texts))]
    scores = index.score_pairs([queries[q] for q, _ in pairs], np.array([r for _, r in pairs], int))
    searched = np.zeros((len(queries), len(texts)), np.float32)
    for query_row, rows in enumerate(hits.indices):
        searched[query_row, rows[rows >= 0]] = hits.scores[query_row][rows >= 0]
    np.testing.assert_allclose(scores, searched.ravel(), rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ｆｕｌｌ Width", ["full", "width"]),
        ("東大寺の x12大", ["東大", "大寺", "寺の", "x12", "大"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs belong to the word
        ("คนไทย", ["คน", "นไ", "ไท", "ทย"]),
        ("find . -name '*.txt' -mtime +7", ["find", "name", "txt", "mtime", "7"]),
        ("set_clock naïve", ["set_clock", "naïve"]),
        ("… — !", []),
    ],
)
def test_terms_of_many_scripts(text, expected):
    assert terms(text) == expected


def test_an_unknown_query_finds_nothing():
    hits = Bm25(["a b", "c"]).top_k(["zzz", ""], 5)
    assert hits.indices.tolist() == [[-1, -1], [-1, -1]]
    assert not hits.scores.any()
    assert Bm25([]).top_k(["a"], 5).indices.shape == (1, 0)


@pytest.mark.parametrize(
    ("name", "ndcg"),
    [
        ("eda_tiny", 0.611),
        ("integreat_de", 0.635),
        pytest.param("scifact", 0.666, marks=pytest.mark.slow),
    ],
)
def test_figures_of_the_shared_data(shared, name, ndcg):
    """Of each META.md: bm25s without English stop words, which moves them by up to 0.02."""
    data = whet.load(shared(name))
    relevant = data.positives("test")
    index = Bm25([passage.content for passage in data.passages.values()])
    hits = index.top_k([data.queries[query] for query in relevant], 10)
    discounts = 1 / np.log2(np.arange(10) + 2)
    ids = list(data.passages)
    values = []
    for positives, row in zip(relevant.values(), hits.indices, strict=True):
        gains = [ids[passage] in positives for passage in row]
        values.append(gains @ discounts / discounts[: len(positives)].sum())
    assert np.mean(values) == pytest.approx(ndcg, abs=0.02)


def test_what_shares_no_term_is_not_found():
    hits = Bm25(["zebra", "quagga", "zebra zebra"]).top_k(["zebra", "nothing"], 3)
    assert hits.indices.tolist() == [[2, 0, -1], [-1, -1, -1]]


def test_grams_find_an_inflected_word():
    texts = ["other words", "the horses", "something else"]
    assert Bm25(texts).top_k(["horse"], 1).indices.tolist() == [[-1]]
    assert Bm25(texts, cut=character_grams).top_k(["horse"], 1).indices.tolist() == [[1]]
