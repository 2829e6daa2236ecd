"""BM25 as a teacher: it scores pairs as the search does, and its corpus is its fingerprint."""

import numpy as np
import pytest

from whet.records import Teacher
from whet.search.bm25 import Bm25, character_grams
from whet.teach.lexical import Bm25Teacher

CORPUS = ["dogs bark", "a dog barks at dogs", "cats", "", "東大寺 dogs"]


@pytest.mark.parametrize(
    ("cut", "words"), [("words", "Dogs bark dogs"), ("characters", "dgos barked")]
)
def test_bm25_scores_pairs_as_it_searches(cut, words):
    teacher = Bm25Teacher(CORPUS, cut)
    assert isinstance(teacher, Teacher)
    index = Bm25(CORPUS, cut=character_grams) if cut == "characters" else Bm25(CORPUS)
    queries = [words, "nothing known", ""]
    hits = index.top_k(queries, len(CORPUS))
    for row, query in enumerate(queries):
        score_of = dict(zip(hits.indices[row].tolist(), hits.scores[row].tolist(), strict=True))
        expected = [score_of.get(place, 0.0) for place in range(len(CORPUS))]
        scores = teacher.score([query] * len(CORPUS), CORPUS)
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert max(teacher.score([words] * 2, CORPUS[:2])) > 0


@pytest.mark.parametrize("cut", ["words", "characters"])
def test_the_corpus_counts_for_the_fingerprint(cut):
    assert Bm25Teacher(CORPUS[:-1], cut).fingerprint != Bm25Teacher(CORPUS, cut).fingerprint
    assert Bm25Teacher(CORPUS, cut).fingerprint == Bm25Teacher(CORPUS, cut).fingerprint


def test_a_corpus_without_words_scores_0():
    assert Bm25Teacher([""], "words").score(["x"], [""]).tolist() == [0.0]
    assert Bm25Teacher([""], "characters").score(["x"], [""]).tolist() == [0.0]
