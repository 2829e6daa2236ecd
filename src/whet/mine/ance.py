"""Hard negatives by approximate nearest neighbour negative contrastive estimation (ANCE, arXiv 2007.00808).

A training query's negatives are the passages that the current model ranks highest for it, without those that are known
to answer it and those that score so close to its positive that they likely do (NV-Retriever, arXiv 2407.15831).
BM25 and random candidates pass the same filters.
"""

import numpy as np
from jaxtyping import Float32

from whet.errors import ConfigError
from whet.mine.candidates import Candidates, Fate, search
from whet.mine.config import MineConfig
from whet.mine.known import Judged, judged
from whet.mine.summary import MiningSummary, summarise
from whet.records import Collection, MinedQuery, Negative, Vectors
from whet.search.dense import score_pairs


def mine_negatives(
    collection: Collection, query_vectors: Vectors, passage_vectors: Vectors, config: MineConfig
) -> tuple[list[MinedQuery], MiningSummary]:
    """Find hard negatives of every training query.

    Rows of `query_vectors` follow `collection.positives("train")`, rows of `passage_vectors` follow
    `collection.passages`. The result holds every training query in that order, also those with fewer negatives than
    asked for, and is the same in every process. Raises ConfigError when vectors and collection do not fit together.
    """
    mined, summary, _ = mine_with_candidates(collection, query_vectors, passage_vectors, config)
    return mined, summary


def mine_with_candidates(
    collection: Collection, query_vectors: Vectors, passage_vectors: Vectors, config: MineConfig
) -> tuple[list[MinedQuery], MiningSummary, Candidates]:
    """`mine_negatives`, and the table that it looked at."""
    _check_rows(collection, query_vectors, passage_vectors)
    rng = np.random.default_rng(config.seed)
    known = judged(collection)
    positive_scores = weakest_positive(known, query_vectors, passage_vectors)
    candidates = search(collection, query_vectors, passage_vectors, config, rng)
    take_window(candidates, config)
    drop_known_positives(candidates, known)
    drop_false_negatives(candidates, known, positive_scores, config)
    mined = pick(collection, candidates, config, rng)
    return mined, summarise(candidates, known, positive_scores, config), candidates


def weakest_positive(
    known: Judged, query_vectors: Vectors, passage_vectors: Vectors
) -> Float32[np.ndarray, " query"]:
    """Score the training positive that each query finds hardest.

    A query's negatives are trained against each of its positives, so the margin must hold for all of them.
    """
    query_rows, passage_rows = known.positive_pairs
    weakest = np.full(len(query_vectors), np.inf, dtype=np.float32)
    np.minimum.at(
        weakest, query_rows, score_pairs(query_vectors, passage_vectors, query_rows, passage_rows)
    )
    return weakest


def take_window(candidates: Candidates, config: MineConfig) -> None:
    """Leave out the first ranks; the search ended at the last one."""
    candidates.drop(
        (candidates.ranks <= config.skip) & ~candidates.from_source("given"), Fate.OUTSIDE_WINDOW
    )


def drop_known_positives(candidates: Candidates, known: Judged) -> None:
    """Leave out what answers the query by any judgement of any split, and whatever has the text of an answer."""
    keys = known.keys(candidates.passages)
    candidates.drop(np.isin(keys, known.positives), Fate.KNOWN_POSITIVE)
    candidates.drop(np.isin(keys, known.elsewhere), Fate.POSITIVE_ELSEWHERE)
    candidates.drop(known.known_positive(candidates.passages), Fate.SAME_TEXT_AS_POSITIVE)


def drop_false_negatives(
    candidates: Candidates,
    known: Judged,
    positive_scores: Float32[np.ndarray, " query"],
    config: MineConfig,
) -> None:
    """Leave out what scores too close to the positive, unless it was given or judged not relevant by someone."""
    doubtful = ~candidates.from_source("given") & ~np.isin(
        known.keys(candidates.passages), known.refuted
    )
    if config.max_score is not None:
        candidates.drop(doubtful & (candidates.scores > config.max_score), Fate.ABOVE_MAX_SCORE)
    limit = highest_safe_score(positive_scores, config.relative_margin, config.absolute_margin)
    candidates.drop(doubtful & (candidates.scores > limit[:, None]), Fate.LIKELY_FALSE_NEGATIVE)


def highest_safe_score(
    positive_scores: Float32[np.ndarray, " query"],
    relative_margin: float | None,
    absolute_margin: float | None,
) -> Float32[np.ndarray, " query"]:
    """Return the score above which a candidate likely answers the query.

    The relative margin takes its share of the score's size off, as sentence-transformers' does: 0.05 gives 0.95 · s for
    s ≥ 0 as NV-Retriever has it, and 1.05 · s below 0, where 0.95 · s would lie above the positive itself.
    """
    limit = np.full_like(positive_scores, np.inf)
    if relative_margin is not None:
        limit = np.minimum(
            limit, positive_scores - np.float32(relative_margin) * np.abs(positive_scores)
        )
    if absolute_margin is not None:
        limit = np.minimum(limit, positive_scores - np.float32(absolute_margin))
    return limit


def pick(
    collection: Collection, candidates: Candidates, config: MineConfig, rng: np.random.Generator
) -> list[MinedQuery]:
    """Take given negatives first, then by rank, the searches in turn; or draw evenly from all that is left."""
    left = candidates.left
    turn = np.zeros(left.shape)
    for source in dict.fromkeys(candidates.sources):
        columns = candidates.from_source(source)
        if source == "given" or config.pick == "top":
            turn[:, columns] = np.cumsum(left[:, columns], axis=1)
        else:
            turn[:, columns] = rng.random((len(left), columns.sum()))
    turn[:, candidates.from_source("given")] -= left.shape[1]
    order = np.argsort(np.where(left, turn, np.inf), axis=1, kind="stable")[:, : config.negatives]
    taken = np.zeros_like(left)
    np.put_along_axis(taken, order, values=True, axis=1)
    candidates.drop(taken, Fate.TAKEN)
    passage_ids, chosen = list(collection.passages), np.take_along_axis(left, order, axis=1)
    return [
        MinedQuery(
            query,
            tuple(
                _negative(candidates, passage_ids, row, column)
                for column in order[row][chosen[row]]
            ),
        )
        for row, query in enumerate(collection.positives("train"))
    ]


def _negative(candidates: Candidates, passage_ids: list[str], row: int, column: int) -> Negative:
    passage = passage_ids[candidates.passages[row, column]]
    score = round(float(candidates.scores[row, column]), 6)
    return Negative(passage, int(candidates.ranks[column]), score, candidates.sources[column])


def _check_rows(collection: Collection, query_vectors: Vectors, passage_vectors: Vectors) -> None:
    for name, vectors, expected in (
        ("query", query_vectors, len(collection.positives("train"))),
        ("passage", passage_vectors, len(collection.passages)),
    ):
        if len(vectors) != expected:
            raise ConfigError(
                f"{len(vectors)} {name} vectors, and {collection.name!r} has {expected}: "
                'encode the queries of collection.positives("train") and all of collection.passages, in their order'
            )
