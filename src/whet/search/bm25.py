"""Lexical search: BM25 (Robertson and Zaragoza 2009, Lucene's variant) over words of any script, through bm25s."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from whet.search.dense import Hits

GRAM = 4  # characters

# Scripts written without spaces, and Korean, whose particles are glued to the word: runs of them are cut into bigrams.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # kana and iteration marks
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uac00-\ud7af"  # Hangul
)


@cache
def _run_pattern() -> re.Pattern[str]:
    """Group 1 is a run of an unspaced script, group 2 a word: letters, digits, underscores, and the marks on them."""
    marks = "".join(
        chr(code)
        for code in range(0x300, 0xFE30)
        if unicodedata.category(chr(code)).startswith("M")
    )
    spaced = rf"[^\W{_UNSPACED}]"
    return re.compile(rf"([{_UNSPACED}]+)|({spaced}+(?:[{marks}]+{spaced}*)*)")


def term_spans(text: str) -> list[tuple[int, int]]:
    """Find where the terms of a text start and end: words, and overlapping bigrams of scripts that have no spaces.

    >>> [text[start:end] for text in ["ls -la 東大寺"] for start, end in term_spans(text)]
    ['ls', 'la', '東大', '大寺']
    """
    spans: list[tuple[int, int]] = []
    for match in _run_pattern().finditer(text):
        start, end = match.span()
        if match.group(1) is None or end - start <= 2:
            spans.append((start, end))
        else:
            spans.extend((at, at + 2) for at in range(start, end - 1))
    return spans


def terms(text: str) -> list[str]:
    """Cut a text into its lower-cased terms after compatibility normalisation (NFKC), in order.

    >>> terms("Ｆｕｌｌ width, set_clock")
    ['full', 'width', 'set_clock']
    """
    text = unicodedata.normalize("NFKC", text)
    return [text[start:end].lower() for start, end in term_spans(text)]


def character_grams(text: str) -> list[str]:
    """Cut a text's terms, with a mark at either end, into overlapping runs of characters: for inflection and typos.

    >>> character_grams("spam Ei")
    ['_spa', 'spam', 'pam_', '_ei_']
    """
    marked = [f"_{term}_" for term in terms(text)]
    return [term[at : at + GRAM] for term in marked for at in range(max(1, len(term) - GRAM + 1))]


class Bm25:
    """A BM25 index over texts; `top_k` searches it like `whet.search.dense.top_k` searches vectors.

    `k1` saturates repeated terms, `b` weighs the length of the text; the defaults are those of BEIR's baseline. `cut`
    makes a text's terms.
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
        self._size = len(texts)
        self._vocabulary: dict[str, int] = {}
        ids = [
            [self._vocabulary.setdefault(term, len(self._vocabulary)) for term in cut(text)]
            for text in texts
        ]
        self._index = bm25s.BM25(k1=k1, b=b, method="lucene")
        if self._vocabulary:
            self._index.index(
                (ids, self._vocabulary), create_empty_token=False, show_progress=False
            )

    def top_k(self, queries: Sequence[str], k: int) -> Hits:
        """Find the k best passages of every query text; -1 where there are fewer that share a term with it."""
        k = min(k, self._size)
        indices, scores = (
            np.zeros((len(queries), k), np.int64),
            np.zeros((len(queries), k), np.float32),
        )
        for row, query in enumerate(queries):
            found = self._scores(query)
            cut = np.partition(found, self._size - k)[self._size - k] if k else 0.0
            near = np.flatnonzero(found >= cut)
            indices[row] = near[np.argsort(-found[near], kind="stable")][:k]
            scores[row] = found[indices[row]]
        indices[scores <= 0] = -1
        return Hits(indices, scores)

    def score_pairs(
        self, queries: Sequence[str], rows: Int64[np.ndarray, " pair"]
    ) -> Float32[np.ndarray, " pair"]:
        """Score each query text with the text of the row beside it: what `top_k` would say of the two."""
        from scipy.sparse import csr_array

        if not self._vocabulary:
            return np.zeros(len(rows), np.float32)
        place = {query: at for at, query in enumerate(dict.fromkeys(queries))}
        known = [self._known(query) for query in place]
        ends = np.cumsum([0, *map(len, known)])
        cells = (
            np.ones(ends[-1], np.float32),
            np.fromiter(chain.from_iterable(known), np.int64, ends[-1]),
            ends,
        )
        asked = csr_array(cells, shape=(len(known), len(self._vocabulary)))[
            [place[query] for query in queries]
        ]
        found: Float32[np.ndarray, " pair"] = (asked * self._weights[rows]).sum(axis=1)
        return found.astype(np.float32)

    @cached_property
    def _weights(self) -> Any:
        """(text, term) each term's part of a text's score, as the index holds it."""
        from scipy.sparse import csc_array

        cells = tuple(self._index.scores[part] for part in ("data", "indices", "indptr"))
        return csc_array(cells, shape=(self._size, len(self._vocabulary))).tocsr()

    def _known(self, query: str) -> list[int]:
        return [self._vocabulary[term] for term in self._cut(query) if term in self._vocabulary]

    def _scores(self, query: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        known = self._known(query)
        if not known:
            return np.zeros(self._size, np.float32)
        scores: np.ndarray[tuple[int], np.dtype[np.float32]] = self._index.get_scores_from_ids(
            known
        )
        return scores
