"""BM25 as a teacher: over words, or over runs of characters.

Runs of characters still match where a word is inflected or misspelt.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float32

from whet.files import rolling_digest
from whet.search.bm25 import Bm25, character_grams, terms

Cut = Literal["words", "characters"]
CUTS: dict[Cut, Callable[[str], list[str]]] = {"words": terms, "characters": character_grams}


class Bm25Teacher:
    """BM25 with the statistics of a corpus; it can score passages of that corpus only."""

    block = 8192

    def __init__(self, corpus: Sequence[str], cut: Cut = "words") -> None:
        self.corpus = corpus
        self.cut = cut
        self.name = f"BM25 of {cut}"

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the corpus and of the way in which it is cut."""
        return rolling_digest(("bm25", self.cut, *self.corpus))

    @cached_property
    def _index(self) -> Bm25:
        return Bm25(self.corpus, cut=CUTS[self.cut])

    @cached_property
    def _row_of(self) -> dict[str, int]:
        """The place of each text in the corpus; of the last one where a text occurs twice."""
        return {text: row for row, text in enumerate(self.corpus)}

    def score(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> Float32[np.ndarray, " pair"]:
        """BM25 of each query with the passage of the same place; 0 where they share no term.

        Raises KeyError for a passage that is not in the corpus.
        """
        rows = [self._row_of[passage] for passage in passages]
        return self._index.score_pairs(queries, np.array(rows, np.int64))
