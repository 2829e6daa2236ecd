"""Every score of every teacher, asked for once and kept: what is stored is never computed again.

    FOLDER/FINGERPRINT/part-000001.parquet      query, passage (hashes of the texts, uint64), score (float32)

A part is one block of pairs, written whole or not at all, so a killed process loses the block that it was in.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt64

from whet.errors import TeacherError, WhetError
from whet.progress import Bar, say
from whet.records import Teacher

PART = (
    2**17
)  # pairs that are looked up at a time, so that memory holds little beside pairs and scores
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads two hashes over one


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts to score, as rows of two lists: pair i is `queries[query[i]]` with `passages[passage[i]]`."""

    queries: Sequence[str]
    passages: Sequence[str]
    query: Int64[np.ndarray, " pair"]
    passage: Int64[np.ndarray, " pair"]

    def __len__(self) -> int:
        return len(self.query)

    @cached_property
    def keys(self) -> tuple[UInt64[np.ndarray, " query"], UInt64[np.ndarray, " doc"]]:
        """Hashes of the two lists' texts."""
        return _hashes(self.queries), _hashes(self.passages)


class ScoreStore:
    """The scores that one teacher has given, by the hashes of both texts; see the module's header for its files."""

    def __init__(self, folder: Path, teacher: Teacher) -> None:
        self.folder = folder / teacher.fingerprint
        self._keys, self._scores = self._read()
        self._new: list[tuple[UInt64[np.ndarray, " added"], Float32[np.ndarray, " added"]]] = []

    def find(
        self, query: UInt64[np.ndarray, " pair"], passage: UInt64[np.ndarray, " pair"]
    ) -> Float32[np.ndarray, " pair"]:
        """The stored scores of pairs, by their texts' hashes; NaN where there is none."""
        wanted = _mixed(query, passage)
        if not len(self._keys):
            return np.full(len(wanted), np.nan, np.float32)
        at = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
        return np.where(self._keys[at] == wanted, self._scores[at], np.float32(np.nan))

    def add(
        self,
        query: UInt64[np.ndarray, " pair"],
        passage: UInt64[np.ndarray, " pair"],
        scores: Float32[np.ndarray, " pair"],
    ) -> None:
        """Write one block; `find` knows it once it is settled."""
        import pyarrow as pa
        from pyarrow import parquet

        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max(
            (int(path.stem.removeprefix("part-")) for path in self._parts()), default=0
        )
        path = self.folder / f"part-{number:06}.parquet"
        aside = path.with_suffix(".tmp")
        parquet.write_table(pa.table({"query": query, "passage": passage, "score": scores}), aside)
        aside.replace(path)
        self._new.append((_mixed(query, passage), scores.copy()))

    def settle(self) -> None:
        """Sort what was added in among the rest."""
        keys, scores = zip((self._keys, self._scores), *self._new, strict=True)
        self._keys, first = np.unique(np.concatenate(keys), return_index=True)
        self._scores = np.concatenate(scores)[first]
        self._new = []

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _read(self) -> tuple[UInt64[np.ndarray, " stored"], Float32[np.ndarray, " stored"]]:
        import pyarrow as pa
        from pyarrow import parquet

        keys, scores = [np.zeros(0, np.uint64)], [np.zeros(0, np.float32)]
        for path in self._parts():
            try:
                part = parquet.read_table(path)
            except (OSError, pa.ArrowInvalid):  # cut short by a full disk or a power cut
                say(f"{path} is damaged; its pairs are scored again")
                path.unlink()
                continue
            keys.append(_mixed(part["query"].to_numpy(), part["passage"].to_numpy()))
            scores.append(part["score"].to_numpy())
        found, first = np.unique(np.concatenate(keys), return_index=True)
        return found, np.concatenate(scores)[first]


def ask(teacher: Teacher, pairs: Pairs, folder: Path) -> Float32[np.ndarray, " pair"]:
    """Score pairs, each once: what `folder` holds of this teacher is taken from there, and what is new is added.

    Raises TeacherError, naming teacher and block, when it fails, gives another number of scores than it was given
    pairs, or a score that is not finite; the blocks before are stored, and the same call goes on behind them.
    """
    store, scores, number = ScoreStore(folder, teacher), np.empty(len(pairs), np.float32), 0
    with Bar(f"teach {teacher.name}", len(pairs)) as bar:
        for start in range(0, len(pairs), PART):
            part = np.arange(start, min(start + PART, len(pairs)))
            query, passage = pairs.keys[0][pairs.query[part]], pairs.keys[1][pairs.passage[part]]
            scores[part] = store.find(query, passage)
            missing = np.flatnonzero(np.isnan(scores[part]))
            _, first, back = np.unique(
                _mixed(query[missing], passage[missing]), return_index=True, return_inverse=True
            )
            once, found = missing[first], np.empty(len(first), np.float32)
            bar.advance(len(part) - len(once))
            for at in range(0, len(once), teacher.block):
                rows, number = once[at : at + teacher.block], number + 1
                found[at : at + len(rows)] = _checked(teacher, pairs, part[rows], f"block {number}")
                store.add(query[rows], passage[rows], found[at : at + len(rows)])
                bar.advance(len(rows))
            scores[part[missing]] = found[back]
            store.settle()
    return scores


def _told(error: Exception) -> str:
    """An error in words; its kind, where it is not one of ours."""
    kind = "" if isinstance(error, WhetError) else f"{type(error).__name__}: "
    return f"{kind}{str(error).rstrip('.')}"


def _checked(
    teacher: Teacher, pairs: Pairs, rows: Int64[np.ndarray, " pair"], block: str
) -> Float32[np.ndarray, " pair"]:
    """One block's scores, if that is what they are."""
    queries = [pairs.queries[at] for at in pairs.query[rows].tolist()]
    passages = [pairs.passages[at] for at in pairs.passage[rows].tolist()]
    where = f"teacher {teacher.name}, {block} ({len(rows)} pairs)"
    last = "The blocks before are stored: mend the teacher or leave it out, and run the same command again."
    try:
        scores = np.asarray(teacher.score(queries, passages), np.float32)
    except Exception as error:  # a teacher is anybody's code
        raise TeacherError(f"{where}: {_told(error)}. {last}") from error
    if scores.shape != (len(rows),):
        raise TeacherError(
            f"{where}: got scores of shape {scores.shape}, expected ({len(rows)},). {last}"
        )
    if len(broken := np.flatnonzero(~np.isfinite(scores))):
        first = f"{queries[broken[0]][:60]!r} with {passages[broken[0]][:60]!r}"
        raise TeacherError(
            f"{where}: {len(broken)} scores are not finite, the first, {scores[broken[0]]}, of {first}. {last}"
        )
    return scores


def _mixed(
    query: UInt64[np.ndarray, " pair"], passage: UInt64[np.ndarray, " pair"]
) -> UInt64[np.ndarray, " pair"]:
    """One number for a pair; two pairs of a million have the same one with a probability of 3e-8."""
    mixed: UInt64[np.ndarray, " pair"] = query + MIX * (passage ^ (passage >> np.uint64(29)))
    return mixed


def _hashes(texts: Sequence[str]) -> UInt64[np.ndarray, " text"]:
    digests = (
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), np.uint64)
