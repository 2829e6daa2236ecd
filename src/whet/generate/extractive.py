"""Queries without a language model: pieces of a passage that set it apart from the corpus."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from whet.files import digest
from whet.generate.form import Form
from whet.records import GenerationRequest, GenerationResult, Passage
from whet.search.bm25 import term_spans, terms

MAX_TERMS = 32  # a longer sentence is cut into clauses, and a longer clause is no query
MIN_TERMS = 3  # of a sentence or clause
KEY_PHRASE_TERMS = 8
KEYWORD_COUNTS = (3, 7)  # terms of a keyword query: from 3 to 6
BEST_SENTENCES = 2  # of a passage
STRETCH_SHARES = (0.1, 0.33)  # of a passage's terms that a stretch holds
MIN_STRETCH_TERMS = 4
COPY_SHARE = 0.6  # a piece with more of the passage's distinct terms is a copy, not a query

# Full stops need a space behind them ("3.5"), end marks of other scripts do not.
_SENTENCE_END = re.compile(r"(?<=\S[.!?…])\s+|(?<=[。！？।؟۔])\s*|\s*\n\s*\n\s*")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|[、，；：،؛]|\s+[-–—•|]\s+")
_BULLETS = "-–—•* "

Weights: TypeAlias = Mapping[str, float]
"""Weight of each distinct term of a passage."""

Span: TypeAlias = tuple[int, int]
"""Start and end of a term in its text."""


class ExtractiveGenerator:
    """Copies a passage's best sentences, key phrase and title; a `records.Generator`.

    A term weighs (1 + ln tf) · idf. tf is counted in the passage, and idf over the `corpus` with
    BM25's formula. A sentence weighs the sum over its distinct terms by the root of its length.

    Where the user has queries (`examples`), pieces of their length come first, and all pieces get
    their looks (`Form`).
    """

    name = "offline"

    def __init__(
        self,
        corpus: Iterable[Passage],
        examples: Sequence[str] = (),
    ) -> None:
        self._form = Form.of(examples)
        document_frequency: Counter[str] = Counter()
        size = 0
        for passage in corpus:
            size += 1
            distinct_terms = set(terms(passage.content))
            document_frequency.update(distinct_terms)
        self._idf: dict[str, float] = {}
        for term, count in document_frequency.items():
            others = size - count
            odds = (others + 0.5) / (count + 0.5)
            idf = math.log(1 + odds)
            self._idf[term] = idf

    def generate(self, requests: Sequence[GenerationRequest]) -> list[GenerationResult]:
        """Candidate queries of every passage, best first; none of a passage that is too short."""
        results: list[GenerationResult] = []
        for request in requests:
            texts = tuple(self._texts(request))
            failure = "" if texts else "too short to take a piece from"
            results.append(GenerationResult(texts, failure))
        return results

    def _texts(self, request: GenerationRequest) -> list[str]:
        """Texts in the style: sentences, a stretch of the passage, keywords, misspelt keywords."""
        passage = request.passage
        if request.style == "question":
            return self._pieces(passage)
        rng = _rng(passage.id, request.style)
        if request.style == "long":
            text = stretch(passage.content, rng)
        else:
            count = int(rng.integers(*KEYWORD_COUNTS))
            text = self._keywords(passage, count)
        if request.style == "misspelt":
            text = misspell(text.lower(), rng)
        return [text] if text else []

    def _weights(self, passage: Passage) -> dict[str, float]:
        """Weight of each distinct term of a passage, in the order in which they first stand."""
        counts = Counter(terms(passage.content))
        weights: dict[str, float] = {}
        for term, count in counts.items():
            tf = 1 + math.log(count)
            idf = self._idf.get(term, 0.0)
            weights[term] = tf * idf
        return weights

    def _keywords(self, passage: Passage, count: int) -> str:
        """The `count` heaviest terms, in the order in which they stand."""
        weights = self._weights(passage)
        by_weight = sorted(weights, key=lambda term: -weights[term])
        heaviest = set(by_weight[:count])
        return " ".join(term for term in weights if term in heaviest)

    def _pieces(self, passage: Passage) -> list[str]:
        """The best sentences, the key phrase and the title, without copies of the passage."""
        weights = self._weights(passage)
        by_weight = sentences(passage.text)
        by_weight.sort(key=lambda sentence: -_sentence_weight(sentence, weights))
        pieces = by_weight[:BEST_SENTENCES]
        pieces.append(key_phrase(passage.text, weights))
        pieces.append(_one_line(passage.title))
        if self._form:
            pieces = _in_form(self._form, passage, pieces, weights)
        most_terms = COPY_SHARE * len(weights)
        queries: list[str] = []
        for piece in dict.fromkeys(pieces):
            distinct_terms = set(terms(piece))
            if 0 < len(distinct_terms) <= most_terms:
                queries.append(piece)
        return queries


def _in_form(
    form: Form,
    passage: Passage,
    pieces: Sequence[str],
    weights: Weights,
) -> list[str]:
    """Pieces of a usual length, then a phrase as long as some query is, then the others."""
    rng = _rng(passage.id)
    usual = [piece for piece in pieces if form.has_usual_length(piece)]
    length = form.draw_length(rng)
    phrase = key_phrase(passage.text, weights, length)
    in_order = [*usual, phrase, *pieces]
    return [form.apply(piece) for piece in in_order]


def stretch(text: str, rng: np.random.Generator) -> str:
    """A tenth to a third of a text, 4 to MAX_TERMS terms, from anywhere in it.

    Returns "" where the text is too short for that.
    """
    spans = term_spans(text)
    share = rng.uniform(*STRETCH_SHARES)
    size = round(len(spans) * share)
    size = max(size, MIN_STRETCH_TERMS)
    size = min(size, MAX_TERMS)
    if size > COPY_SHARE * len(spans):
        return ""
    places = len(spans) - size + 1
    first = int(rng.integers(places))
    last = first + size - 1
    return _between(text, spans[first], spans[last])


def misspell(text: str, rng: np.random.Generator) -> str:
    """A text with one or two typing errors: letters exchanged, left out or doubled."""
    errors = int(rng.integers(1, 3))
    for _ in range(errors):
        inner = range(1, len(text) - 1)
        places = [index for index in inner if _is_in_word(text, index)]
        if not places:
            continue
        place = int(rng.integers(len(places)))
        index = places[place]
        letter = text[index]
        next_letter = text[index + 1]
        wrong_pairs = (
            next_letter + letter,  # exchanged
            next_letter,  # left out
            letter * 2 + next_letter,  # doubled
        )
        kind = int(rng.integers(3))
        before = text[:index]
        after = text[index + 2 :]
        text = before + wrong_pairs[kind] + after
    return text


def _is_in_word(text: str, index: int) -> bool:
    """Whether there are letters before, at and after this index."""
    first = index - 1
    around = text[first : first + 3]
    return around.isalpha()


def sentences(text: str) -> list[str]:
    """Cut a text of any language into sentences, and long sentences into clauses.

    Sentences and clauses of fewer than MIN_TERMS or more than MAX_TERMS terms are left out.

    >>> sentences("Use the option -n for numbers. Run it twice.  東大寺は奈良にある。")
    ['Use the option -n for numbers.', 'Run it twice.', '東大寺は奈良にある。']
    """
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        if len(term_spans(sentence)) > MAX_TERMS:
            pieces += _CLAUSE_END.split(sentence)
        else:
            pieces.append(sentence)
    texts: list[str] = []
    for piece in pieces:
        size = len(term_spans(piece))
        if MIN_TERMS <= size <= MAX_TERMS:
            text = _one_line(piece)
            texts.append(text.lstrip(_BULLETS))
    return texts


def key_phrase(
    text: str,
    weights: Weights,
    length: int = KEY_PHRASE_TERMS,
) -> str:
    """Copy the run of neighbouring terms in one sentence with the highest total weight.

    Repeated terms count once. The run has `length` terms, or fewer where that would be a copy of
    the text; "" where no sentence is long enough.

    >>> weights = {"a": 0.1, "man": 1.0, "of": 0.1, "rare": 3.0, "words": 2.0}
    >>> key_phrase("a man of rare words", weights)
    'of rare words'
    """
    most_terms = int(COPY_SHARE * len(weights))
    width = min(length, most_terms)
    if width < 2:
        return ""
    best_total = -1.0
    phrase = ""
    for sentence in _SENTENCE_END.split(text):
        spans = term_spans(sentence)
        if len(spans) < width:
            continue
        values = _span_weights(sentence, spans, weights)
        # Sums over a sliding window: values 1 3 2 and width 2 give 4 5.
        window = np.ones(width)
        totals = np.convolve(values, window, mode="valid")
        first = int(totals.argmax())
        if totals[first] > best_total:
            best_total = float(totals[first])
            last = first + width - 1
            phrase = _between(sentence, spans[first], spans[last])
    return phrase


def _between(text: str, first: Span, last: Span) -> str:
    """The text from the start of one term to the end of another, on one line."""
    start, _ = first
    _, end = last
    return _one_line(text[start:end])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _span_weights(
    sentence: str,
    spans: Sequence[Span],
    weights: Weights,
) -> list[float]:
    """Weights of the terms at `spans`; 0 for a term that has stood before."""
    unused_weights = dict(weights)
    values: list[float] = []
    for start, end in spans:
        text = sentence[start:end]
        term = unicodedata.normalize("NFKC", text).lower()
        weight = unused_weights.pop(term, 0.0)
        values.append(weight)
    return values


def _sentence_weight(sentence: str, weights: Weights) -> float:
    """Sum of the weights of distinct terms, by the root of the number of terms."""
    sentence_terms = terms(sentence)
    distinct_terms = dict.fromkeys(sentence_terms)
    total = math.fsum(weights.get(term, 0.0) for term in distinct_terms)
    return total / math.sqrt(len(sentence_terms))


def _rng(*parts: str) -> np.random.Generator:
    """A generator with a seed from strings: 60 bits of their hash."""
    bits = digest(*parts)[:15]
    seed = int(bits, 16)
    return np.random.default_rng(seed)
