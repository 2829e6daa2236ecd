"""An encoder whose vectors are kept on disk."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from whet.files import digest
from whet.progress import track
from whet.records import Encoder, Vectors

logger = logging.getLogger(__name__)

TEXTS_PER_FILE = 1024

Encode = Callable[[Sequence[str]], Vectors]


class StoredEncoder:
    """Keeps an encoder's vectors on disk, block by block, under its fingerprint.

    Tuned weights have another fingerprint, so no stale vector can be served. An interrupted run
    goes on at the block where it stopped. The fingerprint is taken once: wrap an encoder again
    after training its model in place.
    """

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self.encoder = encoder
        self.folder = folder
        self.fingerprint = encoder.fingerprint

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, from disk where they are there: (doc, dim) float32."""
        return self._all_blocks(texts, "queries", self.encoder.encode_queries)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, from disk where they are there: (doc, dim) float32."""
        return self._all_blocks(texts, "passages", self.encoder.encode_passages)

    def _all_blocks(self, texts: Sequence[str], kind: str, encode: Encode) -> Vectors:
        starts = range(0, len(texts), TEXTS_PER_FILE)
        blocks = [texts[start : start + TEXTS_PER_FILE] for start in starts] or [texts]
        tracked = track(blocks, f"encode {kind}", len(blocks))
        return np.concatenate([self._one_block(block, kind, encode) for block in tracked])

    def _one_block(self, texts: Sequence[str], kind: str, encode: Encode) -> Vectors:
        path = self.folder / f"{digest(self.fingerprint, kind, list(texts))}.npy"
        stored = _read(path)
        if stored is not None:
            return stored
        vectors = encode(texts)
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp.npy")
        np.save(aside, vectors, allow_pickle=False)
        aside.replace(path)
        return vectors


def _read(path: Path) -> Vectors | None:
    """Vectors of a file; None where there is none, or where it is damaged."""
    if not path.exists():
        return None
    try:
        vectors: Vectors = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):  # cut short by a full disk or a power cut
        logger.info(f"{path} is damaged; encoding its texts again")
        return None
    return vectors
