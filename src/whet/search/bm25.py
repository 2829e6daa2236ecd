"""Lexical search by BM25 over words of any script, through bm25s.

Robertson and Zaragoza 2009, The Probabilistic Relevance Framework, in Lucene's variant.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32, Int64

from whet.search.dense import Hits

GRAM_CHARACTERS = 4
NO_TEXT = -1

TermIds: TypeAlias = list[int]
TextScores: TypeAlias = Float32[np.ndarray, " text"]

# Scripts written without spaces, and Korean, which attaches particles to the word. Runs of them are
# cut into bigrams.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # kana and iteration marks
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uac00-\ud7af"  # Hangul
)


@cache
def _run_pattern() -> re.Pattern[str]:
    """Group 1 is a run of an unspaced script, group 2 a word.

    A word consists of letters, digits, underscores, and the marks on them.
    """
    marks = ""
    for code in range(0x300, 0xFE30):  # from the first to the last combining mark
        character = chr(code)
        if unicodedata.category(character).startswith("M"):
            marks += character
    spaced = rf"[^\W{_UNSPACED}]"
    return re.compile(rf"([{_UNSPACED}]+)|({spaced}+(?:[{marks}]+{spaced}*)*)")


def term_spans(text: str) -> list[tuple[int, int]]:
    """Find where the terms of a text start and end.

    Terms are words, and overlapping bigrams in scripts that have no spaces.

    >>> [text[start:end] for text in ["ls -la 東大寺"] for start, end in term_spans(text)]
    ['ls', 'la', '東大', '大寺']
    """
    spans: list[tuple[int, int]] = []
    for match in _run_pattern().finditer(text):
        start, end = match.span()
        if match.group(1) is None or end - start <= 2:
            spans.append((start, end))
        else:
            spans += [(first, first + 2) for first in range(start, end - 1)]
    return spans


def terms(text: str) -> list[str]:
    """Cut a text into its lower-cased terms after compatibility normalisation (NFKC), in order.

    >>> terms("Ｆｕｌｌ width, set_clock")
    ['full', 'width', 'set_clock']
    """
    text = unicodedata.normalize("NFKC", text)
    return [text[start:end].lower() for start, end in term_spans(text)]


def character_grams(text: str) -> list[str]:
    """Cut a text's terms, with a mark at either end, into overlapping runs of characters.

    Inflected and misspelt words share some of their runs.

    >>> character_grams("spam Ei")
    ['_spa', 'spam', 'pam_', '_ei_']
    """
    grams = []
    for term in terms(text):
        marked = f"_{term}_"
        gram_count = max(1, len(marked) - GRAM_CHARACTERS + 1)
        for start in range(gram_count):
            end = start + GRAM_CHARACTERS
            grams.append(marked[start:end])
    return grams


class Bm25:
    """A BM25 index over texts; `top_k` searches it as `whet.search.dense.top_k` searches vectors.

    `k1` saturates repeated terms, `b` weighs the length of the text; the defaults are those of
    BEIR's baseline. `cut` makes a text's terms.
    """

    def __init__(
        self,
        texts: Sequence[str],
        k1: float = 1.2,
        b: float = 0.75,
        cut: Callable[[str], list[str]] = terms,
    ) -> None:
        import bm25s

        self._cut = cut
        self._text_count = len(texts)
        self._vocabulary: dict[str, int] = {}
        term_ids = [self._new_ids(text) for text in texts]
        self._index = bm25s.BM25(k1=k1, b=b, method="lucene")
        if self._vocabulary:
            corpus = term_ids, self._vocabulary
            self._index.index(corpus, create_empty_token=False, show_progress=False)

    def top_k(self, queries: Sequence[str], k: int) -> Hits:
        """Find the k best texts of every query.

        Their rows are NO_TEXT where fewer than k texts share a term with the query.
        """
        k = min(k, self._text_count)
        shape = len(queries), k
        indices = np.zeros(shape, np.int64)
        scores = np.zeros(shape, np.float32)
        for row, query in enumerate(queries):
            text_scores = self._scores(query)
            best = _best(text_scores, k)
            indices[row] = best
            scores[row] = text_scores[best]
        indices[scores <= 0] = NO_TEXT
        return Hits(indices, scores)

    def score_pairs(
        self,
        queries: Sequence[str],
        rows: Int64[np.ndarray, " pair"],
    ) -> Float32[np.ndarray, " pair"]:
        """Score each query with the text of the row beside it, as `top_k` scores the two."""
        from scipy.sparse import csr_array

        if not self._vocabulary:
            return np.zeros(len(rows), np.float32)
        distinct = list(dict.fromkeys(queries))
        row_of = {query: row for row, query in enumerate(distinct)}
        term_ids = [self._known_ids(query) for query in distinct]

        # (query, term), 1 at a query's terms: queries with the term ids 2 0 and 1 are stored as
        # the values 1 1 1, their columns 2 0 1, and the rows' ends 0 2 3.
        ends = np.cumsum([0, *map(len, term_ids)])
        all_ids = chain.from_iterable(term_ids)
        columns = np.fromiter(all_ids, np.int64)
        values = np.ones(len(columns), np.float32)
        shape = len(distinct), len(self._vocabulary)
        query_terms = csr_array((values, columns, ends), shape=shape)

        pair_rows = [row_of[query] for query in queries]
        products = query_terms[pair_rows] * self._weights[rows]  # (pair, term)
        scores: Float32[np.ndarray, " pair"] = products.sum(axis=1)
        return scores.astype(np.float32)

    @cached_property
    def _weights(self) -> Any:
        """(text, term) each term's part of a text's score, as the index holds it."""
        from scipy.sparse import csc_array

        cells = self._index.scores
        columns = (
            cells["data"],
            cells["indices"],
            cells["indptr"],
        )
        shape = self._text_count, len(self._vocabulary)
        return csc_array(columns, shape=shape).tocsr()

    def _new_ids(self, text: str) -> TermIds:
        """Ids of a text's terms, in order; new terms are added to the vocabulary."""
        vocabulary = self._vocabulary
        return [vocabulary.setdefault(term, len(vocabulary)) for term in self._cut(text)]

    def _known_ids(self, query: str) -> TermIds:
        """Ids of the query's terms that some text has, in order."""
        vocabulary = self._vocabulary
        return [vocabulary[term] for term in self._cut(query) if term in vocabulary]

    def _scores(self, query: str) -> TextScores:
        known = self._known_ids(query)
        if not known:
            return np.zeros(self._text_count, np.float32)
        scores: TextScores = self._index.get_scores_from_ids(known)
        return scores


def _best(scores: TextScores, k: int) -> Int64[np.ndarray, " k"]:
    """Rows of the k highest scores, best first, equal scores by row.

    With k = 2, the scores .5 .2 .5 .9 are cut at .5; of the rows 0 2 3 the best two are 3 0.
    """
    if k == 0:
        return np.zeros(0, np.int64)
    position = len(scores) - k
    cut = np.partition(scores, position)[position]
    near = np.flatnonzero(scores >= cut)
    order = np.argsort(-scores[near], kind="stable")
    return near[order][:k]
