"""Rank passages for queries, by an encoder or by BM25: for dev and for test."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from whet.records import Encoder, Ranking
from whet.search.bm25 import Bm25
from whet.search.dense import Hits, top_k

DEPTH = 100  # R@100 is the deepest measure

Texts: TypeAlias = Mapping[str, str]
"""Id → text."""


def retrieve(encoder: Encoder, queries: Texts, passages: Texts, depth: int = DEPTH) -> Ranking:
    """Rank the `depth` best passages for every query by the encoder's similarity."""
    query_texts = list(queries.values())
    passage_texts = list(passages.values())
    query_vectors = encoder.encode_queries(query_texts)
    passage_vectors = encoder.encode_passages(passage_texts)
    hits = top_k(query_vectors, passage_vectors, depth, backend="exact")
    return ranking_of(hits, list(queries), list(passages))


def retrieve_lexically(queries: Texts, passages: Texts, depth: int = DEPTH) -> Ranking:
    """Rank the `depth` best passages for every query by BM25.

    A passage that shares no term with a query is not ranked for it.
    """
    query_texts = list(queries.values())
    passage_texts = list(passages.values())
    index = Bm25(passage_texts)
    hits = index.top_k(query_texts, depth)
    return ranking_of(hits, list(queries), list(passages))


def ranking_of(hits: Hits, query_ids: Sequence[str], passage_ids: Sequence[str]) -> Ranking:
    """Turn hits into a Ranking of ids; rows of `hits` follow `query_ids`.

    >>> import numpy as np
    >>> hits = Hits(np.array([[1, -1]]), np.array([[0.5, 0.0]], np.float32))   # -1: no passage
    >>> ranking_of(hits, ["q"], ["a", "b"])
    {'q': {'b': 0.5}}
    """
    ranking: Ranking = {}
    passage_rows = hits.indices.tolist()
    scores = hits.scores.tolist()
    for query_id, row, row_scores in zip(query_ids, passage_rows, scores, strict=True):
        ranked: dict[str, float] = {}
        for passage_row, score in zip(row, row_scores, strict=True):
            if passage_row >= 0:
                ranked[passage_ids[passage_row]] = score
        ranking[query_id] = ranked
    return ranking
