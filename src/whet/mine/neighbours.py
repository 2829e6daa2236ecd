"""Which training pairs should share a batch: each query with pairs whose positives the model takes for its own."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, Int64

from whet.mine.known import judged
from whet.records import Collection, Vectors
from whet.search.dense import top_k


def neighbours(
    collection: Collection,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    pairs: Sequence[tuple[str, str]],
    k: int,
) -> Int32[np.ndarray, "pair k"]:
    """Find for every training pair the k other pairs whose positives the model ranks highest for its query.

    `pairs` are (query id, passage id) of training positives; vectors are what `mine_negatives` takes. Values index
    `pairs`, best first, -1 where there are no more. Left out are pairs whose passage is known to answer the query (by
    any split or by its text). A passage of several pairs lends them in turn.
    """
    query_row = {query: row for row, query in enumerate(collection.positives("train"))}
    passage_row = {passage: row for row, passage in enumerate(collection.passages)}
    rows_of_pairs = np.array([passage_row[passage] for _, passage in pairs], dtype=np.int64)
    known = judged(collection)
    positives = np.unique(rows_of_pairs)
    most_known = int(np.bincount(known.copies // len(passage_row)).max(initial=0))
    hits = top_k(query_vectors, passage_vectors[positives], 2 * k + most_known)
    found = positives[hits.indices]
    good = ~known.known_positive(found)
    best = np.argsort(~good, axis=1, kind="stable")[:, :k]
    of_pair = np.array([query_row[query] for query, _ in pairs], dtype=np.int64)
    chosen = np.where(
        np.take_along_axis(good, best, axis=1), np.take_along_axis(hits.indices, best, axis=1), -1
    )
    return _lend(chosen[of_pair], np.searchsorted(positives, rows_of_pairs), k)


def of_rows(near: Int32[np.ndarray, "row near"], rows: list[int]) -> Int32[np.ndarray, "own near"]:
    """Neighbour lists of some rows, which are named by their new numbers; others become -1."""
    number = np.full(len(near) + 1, -1, np.int32)  # the last one is for -1 itself
    number[rows] = np.arange(len(rows))
    renamed: Int32[np.ndarray, "own near"] = number[near[rows]]
    return renamed


def _lend(
    chosen: Int64[np.ndarray, "pair found"], passage_of_pair: Int64[np.ndarray, " pair"], k: int
) -> Int32[np.ndarray, "pair k"]:
    """Turn passages into pairs that have them as positive, a different one for each borrower in turn; pad to k."""
    by_passage = np.argsort(passage_of_pair, kind="stable")
    counts = np.bincount(passage_of_pair)
    starts = np.cumsum(counts) - counts
    turn = np.arange(len(chosen))[:, None] % counts[chosen]
    lent = np.where(chosen >= 0, by_passage[starts[chosen] + turn], -1)
    padding = ((0, 0), (0, k - lent.shape[1]))
    return np.pad(lent, padding, constant_values=-1).astype(np.int32)
