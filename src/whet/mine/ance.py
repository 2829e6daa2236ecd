"""Hard negatives by ANCE: approximate nearest neighbour negative contrastive estimation.

(arXiv 2007.00808.) A training query's negatives are the passages that the current model ranks
highest for it, without the known positives and without those that score so close to the positive
that they are likely positives, too (NV-Retriever, arXiv 2407.15831). Candidates of other searches
pass the same filters.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Float64

from whet.errors import ConfigError
from whet.mine.candidates import Candidates, Fate, search
from whet.mine.config import MineConfig
from whet.mine.known import JudgedPairs, judged_pairs
from whet.mine.summary import MiningSummary, summarise
from whet.records import Collection, MinedQuery, Negative, Vectors
from whet.search.dense import score_pairs

SCORE_DIGITS = 6  # of a negative's score in negatives.jsonl

QueryScores: TypeAlias = Float32[np.ndarray, " query"]


def mine_negatives(
    collection: Collection,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    config: MineConfig,
) -> tuple[list[MinedQuery], MiningSummary]:
    """Mine hard negatives of every training query.

    Rows of `query_vectors` follow `collection.positives("train")`, rows of `passage_vectors` follow
    `collection.passages`. The result holds every training query in that order, also those with
    fewer negatives than the config says, and is the same in every process.

    Raises ConfigError when vectors and collection do not fit together.
    """
    mined, summary, _ = mine_with_candidates(collection, query_vectors, passage_vectors, config)
    return mined, summary


def mine_with_candidates(
    collection: Collection,
    query_vectors: Vectors,
    passage_vectors: Vectors,
    config: MineConfig,
) -> tuple[list[MinedQuery], MiningSummary, Candidates]:
    """`mine_negatives`, and the table of candidates that it decided on."""
    check_rows(collection, query_vectors, passage_vectors)
    rng = np.random.default_rng(config.seed)
    judged = judged_pairs(collection)
    positive_scores = weakest_positive(judged, query_vectors, passage_vectors)
    candidates = search(collection, query_vectors, passage_vectors, config, rng)
    take_window(candidates, config)
    drop_known_positives(candidates, judged)
    drop_false_negatives(candidates, judged, positive_scores, config)
    mined = pick(collection, candidates, config, rng)
    return mined, summarise(candidates, judged, positive_scores, config), candidates


def check_rows(collection: Collection, query_vectors: Vectors, passage_vectors: Vectors) -> None:
    """Raise ConfigError unless there is one vector per training query and per passage."""
    query_count = len(collection.positives("train"))
    passage_count = len(collection.passages)
    for name, vectors, expected in (
        ("query", query_vectors, query_count),
        ("passage", passage_vectors, passage_count),
    ):
        if len(vectors) != expected:
            raise ConfigError(
                f"{len(vectors)} {name} vectors, and {collection.name!r} has {expected}: encode "
                'the queries of collection.positives("train") and all of collection.passages, '
                "in their order"
            )


def weakest_positive(
    judged: JudgedPairs,
    query_vectors: Vectors,
    passage_vectors: Vectors,
) -> QueryScores:
    """The lowest score of each query's training positives.

    A query's negatives are trained against each of its positives, so the margin must hold for all
    of them.
    """
    query_rows, passage_rows = judged.positive_rows()
    scores = score_pairs(query_vectors, passage_vectors, query_rows, passage_rows)
    # Query rows 0 0 1 with scores .9 .7 .8 give .7 .8: `at` takes each pair in turn.
    weakest = np.full(len(query_vectors), np.inf, dtype=np.float32)
    np.minimum.at(weakest, query_rows, scores)
    return weakest


def take_window(candidates: Candidates, config: MineConfig) -> None:
    """Drop the first ranks; the search ended at the last one."""
    is_skipped = candidates.ranks <= config.skip
    is_given = candidates.from_source("given")
    candidates.assign(is_skipped & ~is_given, Fate.OUTSIDE_WINDOW)


def drop_known_positives(candidates: Candidates, judged: JudgedPairs) -> None:
    """Drop positives of the query by any judgement of any split, and copies of their text."""
    passages = candidates.passages
    keys = judged.keys(passages)
    is_positive = np.isin(keys, judged.positives)
    is_positive_elsewhere = np.isin(keys, judged.elsewhere)
    candidates.assign(is_positive, Fate.KNOWN_POSITIVE)
    candidates.assign(is_positive_elsewhere, Fate.POSITIVE_ELSEWHERE)
    candidates.assign(judged.is_known_positive(passages), Fate.SAME_TEXT_AS_POSITIVE)


def drop_false_negatives(
    candidates: Candidates,
    judged: JudgedPairs,
    positive_scores: QueryScores,
    config: MineConfig,
) -> None:
    """Drop what scores too close to the positive.

    Negatives that the data gives, and passages that someone judged not relevant, stay.
    """
    scores = candidates.scores
    is_given = candidates.from_source("given")
    is_irrelevant = judged.is_irrelevant(candidates.passages)
    is_doubtful = ~is_given & ~is_irrelevant
    if config.max_score is not None:
        is_above = scores > config.max_score
        candidates.assign(is_doubtful & is_above, Fate.ABOVE_MAX_SCORE)
    limit = highest_safe_score(positive_scores, config.relative_margin, config.absolute_margin)
    is_too_close = scores > limit[:, None]
    candidates.assign(is_doubtful & is_too_close, Fate.LIKELY_FALSE_NEGATIVE)


def highest_safe_score(
    positive_scores: QueryScores,
    relative_margin: float | None,
    absolute_margin: float | None,
) -> QueryScores:
    """The score above which a candidate is likely a positive.

    The relative margin takes its share of the score's size off, as sentence-transformers' does:
    0.05 gives 0.95 · s for s ≥ 0, as in NV-Retriever, and 1.05 · s below 0, where 0.95 · s would
    lie above the positive itself.
    """
    limit = np.full_like(positive_scores, np.inf)
    if relative_margin is not None:
        margins = np.float32(relative_margin) * np.abs(positive_scores)
        limit = np.minimum(limit, positive_scores - margins)
    if absolute_margin is not None:
        margin = np.float32(absolute_margin)
        limit = np.minimum(limit, positive_scores - margin)
    return limit


def pick(
    collection: Collection,
    candidates: Candidates,
    config: MineConfig,
    rng: np.random.Generator,
) -> list[MinedQuery]:
    """Take negatives from the remaining candidates: those that the data gives first.

    Then `config.pick` decides: by rank, the searches in turn ("top"), or evenly at random.
    """
    remaining = candidates.remaining
    places = _places(candidates, config, rng)
    places[~remaining] = np.inf
    order = np.argsort(places, axis=1, kind="stable")
    columns = order[:, : config.negatives]  # (query, negative)

    # With 4 candidates, columns 2 0 give the mask T F T F. A row with too few remaining candidates
    # fills up with dropped ones, which are no negatives.
    is_picked = np.zeros_like(remaining)
    np.put_along_axis(is_picked, columns, values=True, axis=1)
    is_remaining = np.take_along_axis(remaining, columns, axis=1)  # (query, negative)
    candidates.assign(is_picked, Fate.TAKEN)

    mined = []
    passage_ids = list(collection.passages)
    for row, query_id in enumerate(collection.positives("train")):
        taken = columns[row][is_remaining[row]]
        negatives = [_negative(candidates, passage_ids, row, column) for column in taken]
        mined.append(MinedQuery(query_id, tuple(negatives)))
    return mined


def _places(
    candidates: Candidates,
    config: MineConfig,
    rng: np.random.Generator,
) -> Float64[np.ndarray, "query candidate"]:
    """Place every candidate in the order in which its query's negatives are taken, lowest first.

    With "top", the place counts the remaining candidates of the same search up to this rank, so
    that the searches take turns; equal places go from left to right. One query, where ANCE's first
    candidate was dropped:

        source        given   ance   bm25   ance   bm25
        remaining       T      F      T      T      T
        place          -4      0      1      1      2
    """
    remaining = candidates.remaining
    places = np.zeros(remaining.shape)
    for source in dict.fromkeys(candidates.sources):
        columns = candidates.from_source(source)
        of_source = remaining[:, columns]
        if source == "given" or config.pick == "top":
            places[:, columns] = np.cumsum(of_source, axis=1)
        else:
            places[:, columns] = rng.random(of_source.shape)
    # Now at most 0 and so before all others, whose places start above 0 or are drawn from [0, 1).
    is_given = candidates.from_source("given")
    places[:, is_given] -= len(candidates.sources)
    return places


def _negative(
    candidates: Candidates,
    passage_ids: Sequence[str],
    row: int,
    column: int,
) -> Negative:
    passage_row = candidates.passages[row, column]
    score = float(candidates.scores[row, column])
    return Negative(
        passage_id=passage_ids[passage_row],
        rank=int(candidates.ranks[column]),
        score=round(score, SCORE_DIGITS),
        source=candidates.sources[column],
    )
