"""A teacher's scores of pairs; a pair that is in the teacher's store is not scored again."""

import itertools
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int64

from whet.errors import TeacherError, WhetError
from whet.progress import Bar
from whet.records import Teacher
from whet.teach.pairs import Pairs
from whet.teach.score_store import ScoreStore, pair_keys

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
            lookup = slice(start, start + pairs_per_lookup)
            query_hashes = pairs.query_hashes[pairs.query_rows[lookup]]
            passage_hashes = pairs.passage_hashes[pairs.passage_rows[lookup]]
            lookup_scores = store.find(query_hashes, passage_hashes)
            missing = np.flatnonzero(np.isnan(lookup_scores))

            # keys of the missing pairs   7 5 7
            # first, their sorted order   [1 0]      keys 5 7
            # inverse                     [1 0 1]    each pair's place among the distinct ones
            missing_keys = pair_keys(query_hashes[missing], passage_hashes[missing])
            _, first, inverse = np.unique(missing_keys, return_index=True, return_inverse=True)
            distinct = missing[first]
            bar.advance(len(lookup_scores) - len(distinct))

            new_scores = np.empty(len(distinct), np.float32)
            for block_start in range(0, len(distinct), teacher.block):
                block = slice(block_start, block_start + teacher.block)
                rows = distinct[block]
                label = f"block {next(block_numbers)}"
                block_scores = _score_block(teacher, pairs, start + rows, label)
                store.add(query_hashes[rows], passage_hashes[rows], block_scores)
                new_scores[block] = block_scores
                bar.advance(len(rows))

            lookup_scores[missing] = new_scores[inverse]
            scores[lookup] = lookup_scores
            store.merge_added()
    return scores


def _score_block(
    teacher: Teacher,
    pairs: Pairs,
    rows: Int64[np.ndarray, " pair"],
    label: str,
) -> Scores:
    """One block's scores, checked."""
    queries = [pairs.queries[row] for row in pairs.query_rows[rows].tolist()]
    passages = [pairs.passages[row] for row in pairs.passage_rows[rows].tolist()]
    where = f"teacher {teacher.name}, {label} ({len(rows)} pairs)"

    try:
        scores = np.asarray(teacher.score(queries, passages), np.float32)
    except Exception as error:  # a teacher is anybody's code
        raise TeacherError(f"{where}: {_describe(error)}. {CURE}") from error

    if scores.shape != (len(rows),):
        shapes = f"got scores of shape {scores.shape}, expected ({len(rows)},)"
        raise TeacherError(f"{where}: {shapes}. {CURE}")

    broken = np.flatnonzero(~np.isfinite(scores))
    if len(broken):
        first = broken[0]
        query = queries[first][:SHOWN_CHARACTERS]
        passage = passages[first][:SHOWN_CHARACTERS]
        raise TeacherError(
            f"{where}: {len(broken)} scores are not finite, the first, {scores[first]}, "
            f"of {query!r} with {passage!r}. {CURE}"
        )
    return scores


def _describe(error: Exception) -> str:
    """An error's message, with the name of its class where it is not one of whet's."""
    message = str(error).rstrip(".")
    if isinstance(error, WhetError):
        return message
    return f"{type(error).__name__}: {message}"
