"""Near-identical texts by MinHash and locality-sensitive hashing: candidates by `datasketch`, then the exact overlap.

Time and memory grow with the number of texts, never with its square: only MOST_CANDIDATES per text are compared.
"""

import re
import zlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

MOST_WORDS = 256
MOST_CANDIDATES = 32
PERMUTATIONS = 64
WORD_RUN, CHARACTER_RUN = 3, 4

# Scripts without spaces give one token a character, all others one a word.
TOKEN = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A text as its set of hashed shingles (sorted, distinct) and the MinHash of that set."""

    shingles: np.ndarray
    minhash: Any


def sketches(shingles: Sequence[np.ndarray], *, seed: int) -> Iterator[Sketch]:
    """Yield the sketch of every shingle set, in order."""
    from datasketch import MinHash

    made = MinHash.generator(shingles, num_perm=PERMUTATIONS, seed=seed, hashfunc=int)
    for shingle_set, minhash in zip(shingles, made, strict=True):
        yield Sketch(shingle_set, minhash)


def word_shingles(text: str) -> np.ndarray:
    """Hash every run of three words (characters where the script has no spaces) of the first 256: for passages."""
    words = _words(text)
    return _hashed(
        [" ".join(words[i : i + WORD_RUN]) for i in range(max(1, len(words) - WORD_RUN + 1))]
    )


def character_shingles(text: str) -> np.ndarray:
    """Hash every run of four characters of the words: for queries, which are too short for runs of words."""
    letters = f" {' '.join(_words(text))} "
    return _hashed(
        [letters[i : i + CHARACTER_RUN] for i in range(max(1, len(letters) - CHARACTER_RUN + 1))]
    )


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """Size of the intersection over size of the union of two shingle sets.

    >>> jaccard(np.array([1, 2, 3]), np.array([2, 3, 4]))
    0.5
    """
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


class NearIndex(Generic[Key]):
    """Finds, among the texts put in so far, the one nearest to a given text, if they overlap by `threshold` or more."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH

        self.threshold = threshold
        # Recall matters more than precision: every candidate's overlap is computed exactly.
        self._lsh = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.2, 0.8))
        self._keys: list[Key] = []
        self._shingles: list[np.ndarray] = []

    def add(self, key: Key, sketch: Sketch) -> None:
        """Put a text in."""
        self._lsh.insert(len(self._keys), sketch.minhash, check_duplication=False)
        self._keys.append(key)
        self._shingles.append(sketch.shingles)

    def nearest(self, sketch: Sketch) -> tuple[Key, float] | None:
        """Return the nearest text's key and its overlap, the earliest among equals; None where none is near."""
        candidates = sorted(self._lsh.query(sketch.minhash))[:MOST_CANDIDATES]
        overlaps = [
            (jaccard(self._shingles[index], sketch.shingles), -index) for index in candidates
        ]
        overlap, index = max(overlaps, default=(0.0, 0))
        return (self._keys[-index], overlap) if overlap >= self.threshold else None


def _words(text: str) -> list[str]:
    """Return the words to compare; a text of signs alone is one word."""
    return TOKEN.findall(text.casefold())[:MOST_WORDS] or [text]


def _hashed(shingles: Sequence[str]) -> np.ndarray:
    return np.unique(
        np.array([zlib.crc32(shingle.encode()) for shingle in shingles], dtype=np.uint32)
    )
