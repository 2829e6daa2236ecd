"""Finds near-identical texts by MinHash and locality-sensitive hashing (LSH).

`datasketch` gives candidates; their exact overlap decides. Time and memory grow with the number of
texts, never with its square: only MAX_CANDIDATES per text are compared.
"""

import re
import zlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

MAX_WORDS = 256  # of a text are compared: copies of longer texts begin alike
MAX_CANDIDATES = 32  # per text; texts of one template are all candidates of one another
PERMUTATIONS = 64  # enough to find candidates; their overlap is computed exactly
WORDS_PER_SHINGLE = 3
CHARACTERS_PER_SHINGLE = 4

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

    # The shingles are hashes already, so int serves as the hash function.
    minhashes = MinHash.generator(
        shingles,
        num_perm=PERMUTATIONS,
        seed=seed,
        hashfunc=int,
    )
    for shingle_set, minhash in zip(shingles, minhashes, strict=True):
        yield Sketch(shingle_set, minhash)


def word_shingles(text: str) -> np.ndarray:
    """Hash every run of three words of the first MAX_WORDS: for passages.

    In scripts without spaces a character counts as a word. "a b c d" has the two runs "a b c" and
    "b c d". A text that is shorter than a run is one run.
    """
    words = _words(text)
    starts = _run_starts(len(words), WORDS_PER_SHINGLE)
    runs = [" ".join(words[start : start + WORDS_PER_SHINGLE]) for start in starts]
    return _hashed(runs)


def character_shingles(text: str) -> np.ndarray:
    """Hash every run of four characters: for queries, which are too short for runs of words."""
    words = " ".join(_words(text))
    letters = f" {words} "
    starts = _run_starts(len(letters), CHARACTERS_PER_SHINGLE)
    runs = [letters[start : start + CHARACTERS_PER_SHINGLE] for start in starts]
    return _hashed(runs)


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """Size of the intersection over size of the union of two shingle sets.

    >>> jaccard(np.array([1, 2, 3]), np.array([2, 3, 4]))
    0.5
    """
    shared = len(np.intersect1d(left, right, assume_unique=True))
    union = len(left) + len(right) - shared
    return shared / union


class NearIndex(Generic[Key]):
    """Finds the indexed text that is nearest to a given one.

    Only texts that overlap by `threshold` or more, in [0, 1], are near.
    """

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH

        self.threshold = threshold
        # LSH weighs false candidates 0.2 and missed ones 0.8: recall matters more than precision,
        # since every candidate's overlap is computed exactly.
        self._lsh = MinHashLSH(
            threshold=threshold,
            num_perm=PERMUTATIONS,
            weights=(0.2, 0.8),
        )
        self._keys: list[Key] = []  # by number in the order of adding, as in LSH
        self._shingles: list[np.ndarray] = []

    def add(self, key: Key, sketch: Sketch) -> None:
        """Add a text to the index."""
        number = len(self._keys)
        self._lsh.insert(number, sketch.minhash, check_duplication=False)
        self._keys.append(key)
        self._shingles.append(sketch.shingles)

    def nearest(self, sketch: Sketch) -> tuple[Key, float] | None:
        """Return the nearest text's key and overlap; None where no text is near.

        Among equally near texts the one that was added first is taken.
        """
        candidates = self._lsh.query(sketch.minhash)
        earliest = sorted(candidates)[:MAX_CANDIDATES]
        nearest_number = 0
        highest = 0.0
        for number in earliest:
            overlap = jaccard(self._shingles[number], sketch.shingles)
            if overlap > highest:
                nearest_number = number
                highest = overlap
        if highest < self.threshold:
            return None
        return self._keys[nearest_number], highest


def _run_starts(length: int, run_length: int) -> range:
    """Where the runs of a sequence start; a short sequence is one run.

    >>> _run_starts(5, run_length=3), _run_starts(2, run_length=3)
    (range(0, 3), range(0, 1))
    """
    last_start = max(0, length - run_length)
    return range(last_start + 1)


def _words(text: str) -> list[str]:
    """Return the words to compare; a text of signs alone is one word."""
    words: list[str] = TOKEN.findall(text.casefold())
    return words[:MAX_WORDS] or [text]


def _hashed(shingles: Sequence[str]) -> np.ndarray:
    """Hash shingles to sorted, distinct 32-bit numbers."""
    encoded = [shingle.encode() for shingle in shingles]
    hashes = np.array([zlib.crc32(shingle) for shingle in encoded], dtype=np.uint32)
    return np.unique(hashes)
