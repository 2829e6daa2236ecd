"""One teacher's scores on disk.

    FOLDER/part-000001.parquet      query, passage (hashes of the texts, uint64), score (float32)

A part is one block of pairs, written whole or not at all. A killed process loses the block that it
was scoring.
"""

import logging
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, UInt64

logger = logging.getLogger(__name__)

MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads two hashes over one
SHIFT = np.uint64(29)

Hashes: TypeAlias = UInt64[np.ndarray, " pair"]
Scores: TypeAlias = Float32[np.ndarray, " pair"]


class ScoreStore:
    """The scores that one teacher has given, by the hashes of both texts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._added_keys: list[Hashes] = []
        self._added_scores: list[Scores] = []
        self._read()

    def find(self, query_hashes: Hashes, passage_hashes: Hashes) -> Scores:
        """The stored scores of pairs; NaN where there is none."""
        keys = pair_keys(query_hashes, passage_hashes)
        if not len(self._keys):
            return np.full(len(keys), np.nan, np.float32)

        # `searchsorted` gives the place of a stored key, or where a missing key would be inserted.
        last_row = len(self._keys) - 1
        rows = np.searchsorted(self._keys, keys).clip(max=last_row)
        is_stored = self._keys[rows] == keys
        return np.where(is_stored, self._scores[rows], np.float32(np.nan))

    def add(self, query_hashes: Hashes, passage_hashes: Hashes, scores: Scores) -> None:
        """Write one block; `find` sees it after `merge_added`."""
        import pyarrow as pa
        from pyarrow import parquet

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"part-{self._last_number() + 1:06}.parquet"
        aside = path.with_suffix(".tmp")
        columns = {"query": query_hashes, "passage": passage_hashes, "score": scores}
        parquet.write_table(pa.table(columns), aside)
        aside.replace(path)

        self._added_keys.append(pair_keys(query_hashes, passage_hashes))
        self._added_scores.append(scores.copy())

    def merge_added(self) -> None:
        """Sort the added scores in among the others."""
        keys = np.concatenate([self._keys, *self._added_keys])
        scores = np.concatenate([self._scores, *self._added_scores])
        self._added_keys = []
        self._added_scores = []
        self._keep_sorted(keys, scores)

    def _read(self) -> None:
        """Load all parts."""
        import pyarrow as pa
        from pyarrow import parquet

        keys = [np.zeros(0, np.uint64)]
        scores = [np.zeros(0, np.float32)]
        for path in self._parts():
            try:
                table = parquet.read_table(path)
            except (OSError, pa.ArrowInvalid):  # cut short by a full disk or a power cut
                logger.warning(f"{path} is damaged; its pairs are scored again")
                path.unlink()
                continue
            query_hashes = table["query"].to_numpy()
            passage_hashes = table["passage"].to_numpy()
            keys.append(pair_keys(query_hashes, passage_hashes))
            scores.append(table["score"].to_numpy())

        self._keep_sorted(np.concatenate(keys), np.concatenate(scores))

    def _keep_sorted(self, keys: Hashes, scores: Scores) -> None:
        """Store keys in order with their scores; the first score of a key that comes twice."""
        self._keys, first_rows = np.unique(keys, return_index=True)
        self._scores = scores[first_rows]

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _last_number(self) -> int:
        """The highest number of a part; 0 where there is none."""
        numbers = [int(path.stem.removeprefix("part-")) for path in self._parts()]
        return max(numbers, default=0)


def pair_keys(query_hashes: Hashes, passage_hashes: Hashes) -> Hashes:
    """One number for each pair.

    The chance that any two of a million pairs get the same number is 3e-8.
    """
    mixed_passages = passage_hashes ^ (passage_hashes >> SHIFT)
    keys: Hashes = query_hashes + MIX * mixed_passages
    return keys
