"""One teacher's scores on disk.

    FOLDER/part-000001.parquet      query, passage (hashes of the texts, uint64), score (float32)

A part is one block of pairs, written whole or not at all. A killed process loses the block that it
was scoring.
"""

import logging
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from whet.teach.pairs import Hashes, PairHashes

logger = logging.getLogger(__name__)

Scores: TypeAlias = Float32[np.ndarray, " pair"]


class ScoreStore:
    """The scores that one teacher has given, by the hashes of both texts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys = np.zeros(0, np.uint64)  # sorted
        self._scores = np.zeros(0, np.float32)  # of each key
        self._added_keys: list[Hashes] = []
        self._added_scores: list[Scores] = []
        self._read()
        self.merge_added()

    def find(self, pairs: PairHashes) -> Scores:
        """The stored scores of pairs; NaN where there is none."""
        keys = pairs.keys
        if not len(self._keys):
            return np.full(len(keys), np.nan, np.float32)

        # `searchsorted` gives the row of a stored key, or where a missing key would be inserted:
        # for keys behind the last one that is no row.
        last_row = len(self._keys) - 1
        rows = np.searchsorted(self._keys, keys)
        rows = rows.clip(max=last_row)
        scores = self._scores[rows]
        is_stored = self._keys[rows] == keys
        scores[~is_stored] = np.nan
        return scores

    def add(self, pairs: PairHashes, scores: Scores) -> None:
        """Write one block; `find` sees it after `merge_added`."""
        import pyarrow as pa
        from pyarrow import parquet

        self.folder.mkdir(parents=True, exist_ok=True)
        number = self._last_number() + 1
        path = self.folder / f"part-{number:06}.parquet"
        aside = path.with_suffix(".tmp")
        columns = {
            "query": pairs.queries,
            "passage": pairs.passages,
            "score": scores,
        }
        parquet.write_table(pa.table(columns), aside)
        aside.replace(path)

        self._added_keys.append(pairs.keys)
        self._added_scores.append(scores.copy())

    def merge_added(self) -> None:
        """Sort the added scores in among the others; the first score of a pair stays."""
        keys = np.concatenate([self._keys, *self._added_keys])
        scores = np.concatenate([self._scores, *self._added_scores])
        self._added_keys = []
        self._added_scores = []

        self._keys, first_rows = np.unique(keys, return_index=True)
        self._scores = scores[first_rows]

    def _read(self) -> None:
        """Add the scores of all parts."""
        import pyarrow as pa
        from pyarrow import parquet

        for path in self._parts():
            try:
                table = parquet.read_table(path)
            except (OSError, pa.ArrowInvalid):  # cut short by a full disk or a power cut
                logger.warning(f"{path} is damaged; its pairs are scored again")
                path.unlink()
                continue
            queries = table["query"].to_numpy()
            passages = table["passage"].to_numpy()
            pairs = PairHashes(queries, passages)
            self._added_keys.append(pairs.keys)
            self._added_scores.append(table["score"].to_numpy())

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _last_number(self) -> int:
        """The highest number of a part; 0 where there is none."""
        numbers = []
        for path in self._parts():
            digits = path.stem.removeprefix("part-")
            numbers.append(int(digits))
        return max(numbers, default=0)
