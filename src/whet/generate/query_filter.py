"""Decides which generated texts are good queries, and counts the others by reason."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from whet.data.split import same_text
from whet.records import Collection
from whet.search.bm25 import terms
from whet.search.dense import Hits

Search: TypeAlias = Callable[[Sequence[str], int], Hits]
"""Query texts and k → hits whose indices follow `collection.passages`, as `Bm25(...).top_k`."""

MIN_TERMS = 2  # of a query
MAX_TERMS = 64
MIN_COPIED_TERMS = 12  # shorter queries may stand in the passage word for word
MIN_LANGUAGE_PROBABILITY = 0.95  # from which a language counts as known
MAX_LANGUAGE_CHARACTERS = 1000  # of a text that are classified
MAX_EXAMPLES = 3  # of each reason

# Words that speak of the passage as a text. A user who searches has not seen it.
MENTIONS_THE_TEXT = re.compile(
    r"\b(?:th(?:is|e) (?:passage|text|document|article|excerpt|author|snippet)"
    r"|according to the (?:above|following))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FilterSummary:
    """How many texts passed, how many were rejected for each reason, and examples of those.

    Reasons are already_a_query, too_short, too_long, about_the_text, copy, wrong_language,
    not_found and duplicate. not_written counts passages for which the generator gave nothing.
    """

    passed: int
    turned_down: Mapping[str, int]
    examples: Mapping[str, Sequence[Mapping[str, str]]]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON-able mapping."""
        return {
            "passed": self.passed,
            "turned_down": dict(self.turned_down),
            "examples": dict(self.examples),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "FilterSummary":
        """Undo `to_json`."""
        return cls(
            passed=record["passed"],
            turned_down=record["turned_down"],
            examples=record["examples"],
        )


@dataclass
class QueryFilter:
    """Filters (passage id, text) pairs; in every search, a text must find its passage.

    Args:
        collection: its queries may not be repeated.
        searches: a text must find its passage, or one that reads the same, by each of them.
        max_rank: the rank within which it must do so.
        from_model: whether a language model wrote the texts. A model may copy, chatter and change
            the language. The offline generator copies by design and is not held to that.
        distinct: whether a text that has passed before is rejected.
    """

    collection: Collection
    searches: Sequence[Search]
    max_rank: int = 3
    from_model: bool = False
    distinct: bool = False
    counts: Counter[str] = field(default_factory=Counter)  # by reason; "" for those that passed
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        queries = self.collection.queries.values()
        self._known_queries = {same_text(text) for text in queries}
        self._passed_texts: set[str] = set()
        passages = self.collection.passages.values()
        self._content = {passage.id: same_text(passage.content) for passage in passages}
        self._content_by_row = list(self._content.values())

    def filter(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Say of each pair whether it passes; the reasons of the others are counted.

        A text that equals a query of the data is rejected. A training query has its own positives,
        and a dev or test query must stay unseen.
        """
        reasons = [self._wording_fault(passage_id, text) for passage_id, text in pairs]
        for search in self.searches:
            self._require_found(search, pairs, reasons)
        passes: list[bool] = []
        for (passage_id, text), reason in zip(pairs, reasons, strict=True):
            normalised = same_text(text)
            is_repeated = self.distinct and normalised in self._passed_texts
            if not reason and is_repeated:
                reason = "duplicate"
            if not reason:
                self._passed_texts.add(normalised)
            self._count(passage_id, text, reason)
            passes.append(not reason)
        return passes

    def count_failure(self, passage_id: str, failure: str) -> None:
        """Count a passage for which the generator gave nothing."""
        self._count(passage_id, failure, "not_written")

    def summary(self) -> FilterSummary:
        """Return the counts so far."""
        rejected = dict(sorted(self.counts.items()))
        passed = rejected.pop("", 0)
        return FilterSummary(passed, rejected, self.examples)

    def _require_found(
        self,
        search: Search,
        pairs: Sequence[tuple[str, str]],
        reasons: list[str],
    ) -> None:
        """Set the reason "not_found" where a text without a fault does not find its passage."""
        open_indices = [index for index, reason in enumerate(reasons) if not reason]
        if not open_indices:
            return
        texts = [pairs[index][1] for index in open_indices]
        hits = search(texts, self.max_rank)
        # Rows of passages: (text, max_rank), -1 where there are fewer hits.
        rows_by_text = hits.indices.tolist()
        for index, rows in zip(open_indices, rows_by_text, strict=True):
            passage_id, _ = pairs[index]
            content = self._content[passage_id]
            found_contents = {self._content_by_row[row] for row in rows if row >= 0}
            if content not in found_contents:
                reasons[index] = "not_found"

    def _wording_fault(self, passage_id: str, text: str) -> str:
        """Why a text is no query whatever it finds; "" where it may be one."""
        normalised = same_text(text)
        if normalised in self._known_queries:
            return "already_a_query"
        size = len(terms(text))
        if size < MIN_TERMS:
            return "too_short"
        if size > MAX_TERMS:
            return "too_long"
        if self.from_model:
            content = self._content[passage_id]
            return _model_fault(normalised, content, size)
        return ""

    def _count(self, passage_id: str, text: str, reason: str) -> None:
        self.counts[reason] += 1
        if not reason:
            return
        examples = self.examples.setdefault(reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append({"passage_id": passage_id, "text": text})


def _model_fault(text: str, content: str, size: int) -> str:
    """What a language model does and no user would; "" for none. `size` counts the text's terms."""
    if MENTIONS_THE_TEXT.search(text):
        return "about_the_text"
    is_copy = text.rstrip(".?! ") in content
    if is_copy and size >= MIN_COPIED_TERMS:
        return "copy"
    if differ_in_language(text, content):
        return "wrong_language"
    return ""


def differ_in_language(text: str, other: str) -> bool:
    """Whether both texts are surely in some language, and not in the same one.

    Short texts are never sure.

    >>> passage = "You renew an identity card at the town hall."
    >>> differ_in_language("wie kann ich meinen Ausweis verlängern lassen?", passage)
    True
    >>> differ_in_language("find . -name", passage)
    False
    """
    language, probability = _language_of(text)
    other_language, other_probability = _language_of(other)
    is_sure = min(probability, other_probability) > MIN_LANGUAGE_PROBABILITY
    return is_sure and language != other_language


def _language_of(text: str) -> tuple[str, float]:
    """The most likely language of a text, and its probability."""
    classify = _language_classifier()
    return classify(text[:MAX_LANGUAGE_CHARACTERS])


@cache
def _language_classifier() -> Callable[[str], tuple[str, float]]:
    """Load py3langid's model once."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    classify: Callable[[str], tuple[str, float]] = identifier.classify
    return classify
