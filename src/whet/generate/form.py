"""The form of a user's queries, length and looks, for texts that shall read like them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whet.search.bm25 import terms

FEWEST = 10  # queries that tell a form
MOST_OF = 0.8  # of the queries
MIDDLE = (10, 90)  # percentiles of usual lengths
END_MARKS = ".!?…。！？।؟۔"


@dataclass(frozen=True, slots=True)
class Form:
    """Lengths in terms, and the usual ones; whether most queries have no capitals, and no mark at their end."""

    lengths: Sequence[int]
    shortest: float
    longest: float
    lower: bool
    bare: bool

    @classmethod
    def of(cls, queries: Sequence[str]) -> "Form | None":
        """What the queries have in common; None of fewer than FEWEST, which tell nothing."""
        found = [query.strip() for query in queries if terms(query)]
        if len(found) < FEWEST:
            return None
        cased = [query for query in found if query != query.swapcase()]
        lower = sum(query == query.lower() for query in cased) >= MOST_OF * max(FEWEST, len(cased))
        bare = sum(query[-1] not in END_MARKS for query in found) >= MOST_OF * len(found)
        lengths = [len(terms(query)) for query in found]
        shortest, longest = np.percentile(lengths, MIDDLE)
        return cls(lengths, float(shortest), float(longest), lower, bare)

    def usual(self, text: str) -> bool:
        """Whether a text is as long as eight queries in ten are."""
        return self.shortest <= len(terms(text)) <= self.longest

    def length(self, rng: np.random.Generator) -> int:
        """The length of a query drawn at random."""
        return int(rng.choice(self.lengths))

    def dress(self, text: str) -> str:
        """The text without capitals or end mark, where the queries have none."""
        text = text.lower() if self.lower else text
        return text.rstrip(END_MARKS).rstrip() if self.bare else text
