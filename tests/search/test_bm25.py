"""BM25 against its formula written out, against published figures, and on scripts without spaces."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from whet.evaluate.retrieve import retrieve_lexically
from whet.search.bm25 import Bm25, terms

SHARED = Path(__file__).parents[3] / "shared" / "data"

WORDS = st.lists(st.sampled_from(["find", "grep", "-r", "Größe", "東大寺", "x"]), max_size=8).map(
    " ".join
)


def lucene_bm25(query, texts, k1=1.2, b=0.75):
    """Robertson and Zaragoza's sum over the query's terms, with Lucene's idf and no (k1 + 1) factor."""
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
@settings(max_examples=80, deadline=None)
def test_scores_are_the_formula_and_ties_go_to_the_lower_index(texts, query):
    hits = Bm25(texts).top_k([query], len(texts))
    expected = lucene_bm25(query, texts) if any(map(terms, texts)) else [0.0] * len(texts)
    found = hits.indices[0] >= 0
    by_index = np.zeros(len(texts), np.float32)
    by_index[hits.indices[0][found]] = hits.scores[0][found]
    np.testing.assert_allclose(by_index, expected, rtol=1e-5)
    assert (
        hits.indices[0][found].tolist()
        == np.argsort(-by_index, kind="stable")[: found.sum()].tolist()
    )
    assert not hits.scores[0][~found].any()
    assert Bm25(texts).top_k([query], 2).indices[0].tolist() == hits.indices[0][:2].tolist()


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
    ("name", "ndcg"), [("eda_tiny", 0.611), ("integreat_de", 0.635), ("scifact", 0.666)]
)
def test_figures_of_the_shared_data(name, ndcg):
    """The figures stand in each META.md: bm25s with English stop words dropped, which moves them by up to 0.02."""
    folder = SHARED / name
    if not folder.exists():
        pytest.skip(f"{folder} is not here")
    data = whet.load(folder)
    relevant = data.positives("test")
    hits = Bm25([p.content for p in data.passages.values()]).top_k(
        [data.queries[query] for query in relevant], 10
    )
    discounts = 1 / np.log2(np.arange(10) + 2)
    ids = list(data.passages)
    gains = [
        [ids[i] in relevant[query] for i in row]
        for query, row in zip(relevant, hits.indices, strict=True)
    ]
    best = [discounts[: len(found)].sum() for found in relevant.values()]
    assert np.mean(np.array(gains) @ discounts / best) == pytest.approx(ndcg, abs=0.02)


def test_what_shares_no_term_is_not_found():
    hits = Bm25(["zebra", "quagga", "zebra zebra"]).top_k(["zebra", "nothing"], 3)
    assert hits.indices.tolist() == [[2, 0, -1], [-1, -1, -1]]
    assert retrieve_lexically({"q": "nothing"}, {"p": "zebra"}) == {"q": {}}
