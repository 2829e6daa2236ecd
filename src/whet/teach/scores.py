"""A teacher's scores of pairs; a pair that is in the teacher's store is not scored again."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from whet.errors import TeacherError, WhetError
from whet.progress import Bar
from whet.records import Teacher
from whet.teach.pairs import Pairs, Rows
from whet.teach.score_store import ScoreStore

PAIRS_PER_LOOKUP = 2**17  # bounds the memory that is needed beside the pairs and their scores
SHOWN_CHARACTERS = 60  # of each text in an error
CURE = (
    "The blocks before are stored: repair the teacher or leave it out, "
    "and run the same command again."
)

Scores: TypeAlias = Float32[np.ndarray, " pair"]


def score_pairs(
    teacher: Teacher,
    pairs: Pairs,
    folder: Path,
    *,
    pairs_per_lookup: int = PAIRS_PER_LOOKUP,
) -> Scores:
    """Score pairs, each distinct pair of texts once.

    Scores that `folder`/FINGERPRINT holds are read from there, and new ones are added to it.

    Raises TeacherError, with the teacher's name and the block, when the teacher fails, gives
    another number of scores than it got pairs, or gives a score that is not finite. The blocks
    before are stored, so the same call goes on behind them.
    """
    store = ScoreStore(folder / teacher.fingerprint)
    block_numbers = itertools.count(1)
    scores = np.empty(len(pairs), np.float32)

    with Bar(f"teach {teacher.name}", len(pairs)) as bar:
        for start in range(0, len(pairs), pairs_per_lookup):
            stop = start + pairs_per_lookup
            hashes = pairs.hashes(start, stop)
            lookup_scores = store.find(hashes)
            missing = np.flatnonzero(np.isnan(lookup_scores))

            # missing   [2 4 5]    pairs without a score, of which 2 and 5 have the same texts
            # distinct  [4 2]      each of these once, by its key
            # inverse   [1 0 1]    the place in `distinct` of each missing pair
            missing_keys = hashes.take(missing).keys
            _, first, inverse = np.unique(
                missing_keys,
                return_index=True,
                return_inverse=True,
            )
            distinct = missing[first]
            bar.advance(len(lookup_scores) - len(distinct))

            for rows in _blocks(distinct, teacher.block):
                label = f"block {next(block_numbers)}"
                block_scores = _score_block(teacher, pairs, start + rows, label)
                store.add(hashes.take(rows), block_scores)
                lookup_scores[rows] = block_scores
                bar.advance(len(rows))

            lookup_scores[missing] = lookup_scores[distinct][inverse]
            scores[start:stop] = lookup_scores
            store.merge_added()
    return scores


def _blocks(rows: Rows, size: int) -> Iterator[Rows]:
    """Cut rows into parts of `size`; the last one may be shorter."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _score_block(
    teacher: Teacher,
    pairs: Pairs,
    rows: Rows,
    label: str,
) -> Scores:
    """One block's scores, checked."""
    query_rows = pairs.query_rows[rows].tolist()
    passage_rows = pairs.passage_rows[rows].tolist()
    queries = [pairs.queries[row] for row in query_rows]
    passages = [pairs.passages[row] for row in passage_rows]
    count = len(rows)
    where = f"teacher {teacher.name}, {label} ({count} pairs)"

    try:
        scores = np.asarray(teacher.score(queries, passages), np.float32)
    except Exception as error:  # a teacher is anybody's code
        raise TeacherError(f"{where}: {_describe(error)}. {CURE}") from error

    expected_shape = (count,)
    if scores.shape != expected_shape:
        problem = f"got scores of shape {scores.shape}, expected {expected_shape}"
        raise TeacherError(f"{where}: {problem}. {CURE}")

    broken = np.flatnonzero(~np.isfinite(scores))
    if len(broken):
        first = broken[0]
        problem = f"{len(broken)} scores are not finite, the first, {scores[first]}"
        query = queries[first][:SHOWN_CHARACTERS]
        passage = passages[first][:SHOWN_CHARACTERS]
        pair = f"{query!r} with {passage!r}"
        raise TeacherError(f"{where}: {problem}, of {pair}. {CURE}")
    return scores


def _describe(error: Exception) -> str:
    """An error's message, with the name of its class where it is not one of whet's."""
    message = str(error).rstrip(".")
    if isinstance(error, WhetError):
        return message
    return f"{type(error).__name__}: {message}"
