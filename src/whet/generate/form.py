"""The form of the user's queries, length and looks, for texts that are to read like them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whet.search.bm25 import terms

MIN_QUERIES = 10  # fewer say nothing about a form
MAJORITY = 0.8  # share of the queries that must have a trait
USUAL_PERCENTILES = (10, 90)  # of lengths: what lies between is usual
END_MARKS = ".!?…。！？।؟۔"


@dataclass(frozen=True, slots=True)
class Form:
    """Length and looks that queries have in common.

    `lengths` are all lengths in terms. Usual ones lie from `shortest` to `longest`. `lower` says
    that most queries have no capitals, `bare` that most have no mark at their end.
    """

    lengths: Sequence[int]
    shortest: float
    longest: float
    lower: bool
    bare: bool

    @classmethod
    def of(cls, queries: Sequence[str]) -> "Form | None":
        """What the queries have in common; None of fewer than MIN_QUERIES."""
        texts = [query.strip() for query in queries if terms(query)]
        if len(texts) < MIN_QUERIES:
            return None
        # Scripts without capitals look the same in both cases and say nothing here.
        cased = [text for text in texts if text != text.swapcase()]
        lower_count = sum(text == text.lower() for text in cased)
        at_least = max(MIN_QUERIES, len(cased))
        is_lower = lower_count >= MAJORITY * at_least
        last_letters = [text[-1] for text in texts]
        bare_count = sum(letter not in END_MARKS for letter in last_letters)
        is_bare = bare_count >= MAJORITY * len(texts)
        lengths = [len(terms(text)) for text in texts]
        shortest, longest = np.percentile(lengths, USUAL_PERCENTILES)
        return cls(
            lengths=lengths,
            shortest=float(shortest),
            longest=float(longest),
            lower=is_lower,
            bare=is_bare,
        )

    def has_usual_length(self, text: str) -> bool:
        """Whether a text is as long as eight queries in ten are."""
        length = len(terms(text))
        return self.shortest <= length <= self.longest

    def draw_length(self, rng: np.random.Generator) -> int:
        """The length in terms of a query drawn at random."""
        length = rng.choice(self.lengths)
        return int(length)

    def apply(self, text: str) -> str:
        """The text without capitals or end mark, where most queries have none."""
        if self.lower:
            text = text.lower()
        if self.bare:
            text = text.rstrip(END_MARKS).rstrip()
        return text
