"""Which generated texts are good queries: what is turned down is counted by reason, with examples to look at."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from whet.data.split import same_text
from whet.records import Collection
from whet.search.bm25 import terms
from whet.search.dense import Hits

Search: TypeAlias = Callable[[Sequence[str], int], Hits]
"""Query texts and k → hits whose indices follow `collection.passages`; `Bm25(...).top_k` is one."""

FEWEST, MOST = 2, 64  # terms of a query
COPIED = 12  # terms in a row, as they stand in the passage, make a copy of it
SURE = 0.95  # probability from which a language counts as known
SHOWN = 3  # examples of each reason
ABOUT = re.compile(
    r"\b(?:th(?:is|e) (?:passage|text|document|article|excerpt|author|snippet)|according to the (?:above|following))\b",
    re.IGNORECASE,
)


@dataclass
class QueryFilter:
    """Sifts (passage id, text) pairs; a text must find its passage, or one that reads the same, in every search.

    `modelled` texts come from a language model, which may copy, chatter, and change the language; what is copied out
    of the passages by design is not held to that. With `distinct`, a text that has passed before is turned down.
    """

    collection: Collection
    searches: Sequence[Search]
    within: int = 3
    modelled: bool = False
    distinct: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asked = {same_text(text) for text in self.collection.queries.values()}
        self._seen: set[str] = set()
        self._content = {
            passage.id: same_text(passage.content) for passage in self.collection.passages.values()
        }
        self._contents = list(self._content.values())

    def sift(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Which of the pairs pass; the reasons of others are counted.

        Texts that equal any query of the data are refused: a training query has its own positives, a dev or test query
        must stay unseen.
        """
        reasons = [self._fault(passage, text) for passage, text in pairs]
        left = [at for at, reason in enumerate(reasons) if not reason]
        for search in self.searches:
            hits = search([pairs[at][1] for at in left], self.within) if left else None
            for at, row in zip(left, hits.indices.tolist() if hits else (), strict=True):
                if self._content[pairs[at][0]] not in {
                    self._contents[index] for index in row if index >= 0
                }:
                    reasons[at] = "not_found"
            left = [at for at in left if not reasons[at]]
        for at, (passage, text) in enumerate(pairs):
            own = same_text(text)
            if self.distinct and not reasons[at] and own in self._seen:
                reasons[at] = "duplicate"
            if not reasons[at]:
                self._seen.add(own)
            self._count(passage, text, reasons[at])
        return [not reason for reason in reasons]

    def failed(self, passage: str, why: str) -> None:
        """Count a passage for which the generator gave nothing, and why."""
        self._count(passage, why, "not_written")

    def to_json(self) -> dict[str, Any]:
        """How many passed, how many were turned down for what, and examples of those."""
        turned_down = {reason: count for reason, count in sorted(self.counts.items()) if reason}
        return {"passed": self.counts[""], "turned_down": turned_down, "examples": self.examples}

    def _fault(self, passage: str, text: str) -> str:
        own, words = same_text(text), terms(text)
        if own in self._asked:
            return "already_a_query"
        if not FEWEST <= len(words) <= MOST:
            return "too_short" if len(words) < FEWEST else "too_long"
        if self.modelled and (fault := _chatter(own, self._content[passage], len(words))):
            return fault
        return ""

    def _count(self, passage: str, text: str, reason: str) -> None:
        self.counts[reason] += 1
        shown = self.examples.setdefault(reason, []) if reason else []
        if reason and len(shown) < SHOWN:
            shown.append({"passage_id": passage, "text": text})


def _chatter(text: str, content: str, words: int) -> str:
    """What a model does that no user would."""
    if ABOUT.search(text):
        return "about_the_text"
    if words >= COPIED and text.rstrip(".?! ") in content:
        return "copy"
    return "wrong_language" if differ(text, content) else ""


def differ(text: str, other: str) -> bool:
    """Whether both texts are surely of a language, and not of the same one; short texts are never sure.

    >>> differ("wie kann ich meinen Ausweis verlängern lassen?", "You renew an identity card at the town hall.")
    True
    >>> differ("find . -name", "You renew an identity card at the town hall.")
    False
    """
    (one, sure), (another, certain) = (_language()(each[:1000]) for each in (text, other))
    return one != another and min(sure, certain) > SURE


@cache
def _language() -> Callable[[str], tuple[str, float]]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identify: Callable[[str], tuple[str, float]] = LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True
    ).classify
    return identify
