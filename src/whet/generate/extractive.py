"""Queries without a language model: pieces of a passage that tell it apart from the rest of the corpus."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from whet.artifacts import digest
from whet.generate.form import Form
from whet.records import GenerationRequest, Passage, GenerationResult
from whet.search.bm25 import term_spans, terms

LONGEST = 32  # terms; a longer sentence is cut into clauses, and a longer clause is no query
SHORTEST = 3  # terms of a sentence or clause
PHRASE = 8  # terms of a key phrase
KEYWORDS = (3, 7)  # from, and up to but not with
COPY = 0.6  # a piece that holds more than this share of the passage's distinct terms is a copy, not a query

_SENTENCE_END = re.compile(r"(?<=\S[.!?…])\s+|(?<=[。！？।؟۔])\s*|\s*\n\s*\n\s*")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|[、，；：،؛]|\s+[-–—•|]\s+")


class ExtractiveGenerator:
    """Writes queries by copying out a passage's most telling sentences, key phrase and title; a `records.Generator`.

    A term weighs (1 + ln tf) · idf, tf counted in the passage and idf over the `corpus` with BM25's formula; a piece
    weighs the sum over its distinct terms by the root of its length. Where there are queries by the user (`examples`),
    pieces as long as those come first, and all are dressed like them (`Form`).
    """

    name = "offline"

    def __init__(self, corpus: Iterable[Passage], examples: Sequence[str] = ()) -> None:
        self._form = Form.of(examples)
        frequencies: Counter[str] = Counter()
        size = 0
        for passage in corpus:
            size += 1
            frequencies.update(set(terms(passage.content)))
        self._idf = {
            term: math.log(1 + (size - n + 0.5) / (n + 0.5)) for term, n in frequencies.items()
        }

    def generate(self, briefs: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """Candidate queries of every passage, best first; none for a passage too short to take a piece from."""
        found = [tuple(self._worded(brief)) for brief in briefs]
        return [
            GenerationResult(texts, "" if texts else "too short to take a piece from")
            for texts in found
        ]

    def _worded(self, brief: GenerationRequest) -> list[str]:
        """Pieces in a style: whole sentences, a stretch of the text, keywords, mistyped keywords."""
        if brief.style == "question":
            return self._pieces(brief.passage)
        rng = np.random.default_rng(int(digest(brief.passage.id, brief.style)[:15], 16))
        if brief.style == "long":
            found = stretch(brief.passage.content, rng)
        else:
            found = self._keywords(brief.passage, int(rng.integers(*KEYWORDS)))
        if brief.style == "misspelt":
            found = mistyped(found.lower(), rng)
        return [found] if found else []

    def _keywords(self, passage: Passage, count: int) -> str:
        """The terms that weigh most, in the order in which they stand."""
        counts = Counter(terms(passage.content))
        weights = {term: (1 + math.log(n)) * self._idf.get(term, 0.0) for term, n in counts.items()}
        best = set(sorted(weights, key=lambda term: -weights[term])[:count])
        return " ".join(term for term in counts if term in best)

    def _pieces(self, passage: Passage) -> list[str]:
        counts = Counter(terms(passage.content))
        weights = {term: (1 + math.log(n)) * self._idf.get(term, 0.0) for term, n in counts.items()}
        found = sorted(sentences(passage.text), key=lambda piece: -_worth(piece, weights))[:2]
        found += [key_phrase(passage.text, weights), " ".join(passage.title.split())]
        if self._form:
            found = self._formed(passage, found, weights)
        return [
            piece
            for piece in dict.fromkeys(found)
            if 0 < len(set(terms(piece))) <= COPY * len(counts)
        ]

    def _formed(
        self, passage: Passage, pieces: Sequence[str], weights: dict[str, float]
    ) -> list[str]:
        """Pieces of a usual length, then a phrase as long as some query is, then the others."""
        assert self._form
        rng = np.random.default_rng(int(digest(passage.id)[:15], 16))
        usual = [piece for piece in pieces if self._form.usual(piece)]
        phrase = key_phrase(passage.text, weights, self._form.length(rng))
        return [self._form.dress(piece) for piece in (*usual, phrase, *pieces)]


def stretch(text: str, rng: np.random.Generator) -> str:
    """A tenth to a third of a text, 4 to LONGEST terms, from anywhere in it; "" of a text too short for that."""
    spans = term_spans(text)
    size = min(LONGEST, max(4, round(len(spans) * rng.uniform(0.1, 0.33))))
    if size > COPY * len(spans):
        return ""
    first = int(rng.integers(len(spans) - size + 1))
    return " ".join(text[spans[first][0] : spans[first + size - 1][1]].split())


def mistyped(text: str, rng: np.random.Generator) -> str:
    """A text with one or two slips of the keyboard: two letters exchanged, one left out, or one doubled."""
    for _ in range(int(rng.integers(1, 3))):
        places = [at for at in range(1, len(text) - 1) if text[at - 1 : at + 2].isalpha()]
        if places:
            at = places[int(rng.integers(len(places)))]
            slips = (text[at + 1] + text[at], text[at + 1], text[at] * 2 + text[at + 1])
            text = text[:at] + slips[int(rng.integers(3))] + text[at + 2 :]
    return text


def sentences(text: str) -> list[str]:
    """Cut a text of any language into sentences, and long sentences into clauses; drop what is too short or too long.

    >>> sentences("Use the option -n for numbers. Run it twice.  東大寺は奈良にある。大仏が有名です。")
    ['Use the option -n for numbers.', 'Run it twice.', '東大寺は奈良にある。', '大仏が有名です。']
    """
    found = []
    for sentence in _SENTENCE_END.split(text):
        pieces = [sentence] if len(term_spans(sentence)) <= LONGEST else _CLAUSE_END.split(sentence)
        found += [
            " ".join(piece.split()).lstrip("-–—•* ")
            for piece in pieces
            if SHORTEST <= len(term_spans(piece)) <= LONGEST
        ]
    return found


def key_phrase(text: str, weights: dict[str, float], longest: int = PHRASE) -> str:
    """Copy out the run of neighbouring terms of one sentence with the highest total weight; repeated terms count once.

    It has `longest` terms, or fewer where that would be a copy of the text.

    >>> key_phrase("a man of rare words", {"a": 0.1, "man": 1.0, "of": 0.1, "rare": 3.0, "words": 2.0})
    'of rare words'
    """
    width = min(longest, int(COPY * len(weights)))
    if width < 2:
        return ""
    best, phrase = -1.0, ""
    for sentence in _SENTENCE_END.split(text):
        spans = term_spans(sentence)
        if len(spans) < width:
            continue
        totals = np.convolve(_values(sentence, spans, weights), np.ones(width), mode="valid")
        first = int(totals.argmax())
        if totals[first] > best:
            best, phrase = (
                float(totals[first]),
                sentence[spans[first][0] : spans[first + width - 1][1]],
            )
    return " ".join(phrase.split())


def _values(
    sentence: str, spans: Sequence[tuple[int, int]], weights: dict[str, float]
) -> list[float]:
    """Weigh the terms at `spans`, 0 where one has stood before."""
    left = dict(weights)
    return [
        left.pop(unicodedata.normalize("NFKC", sentence[start:end]).lower(), 0.0)
        for start, end in spans
    ]


def _worth(piece: str, weights: dict[str, float]) -> float:
    found = terms(piece)
    return math.fsum(weights.get(term, 0.0) for term in dict.fromkeys(found)) / math.sqrt(
        len(found)
    )
