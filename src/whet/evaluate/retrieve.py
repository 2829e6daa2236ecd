"""Rank passages for queries, with an encoder or by BM25: the one road from texts to a Ranking, for dev and test."""

from collections.abc import Mapping, Sequence

from whet.records import Encoder, Ranking
from whet.search.bm25 import Bm25
from whet.search.dense import Hits, top_k

DEPTH = 100  # R@100 is the deepest measure


def retrieve(
    encoder: Encoder, queries: Mapping[str, str], passages: Mapping[str, str], depth: int = DEPTH
) -> Ranking:
    """The `depth` best passages of every query (both id → text) by the encoder's similarity."""
    query_vectors, vectors = (
        encoder.encode_queries(list(queries.values())),
        encoder.encode_passages(list(passages.values())),
    )
    hits = top_k(query_vectors, vectors, depth, backend="exact")
    return ranking_of(hits, list(queries), list(passages))


def retrieve_lexically(
    queries: Mapping[str, str], passages: Mapping[str, str], depth: int = DEPTH
) -> Ranking:
    """Rank passages (id → text) for queries (id → text) by BM25; what shares no term with a query is not ranked."""
    hits = Bm25(list(passages.values())).top_k(list(queries.values()), depth)
    return ranking_of(hits, list(queries), list(passages))


def ranking_of(hits: Hits, query_ids: Sequence[str], passage_ids: Sequence[str]) -> Ranking:
    """Hits as a Ranking of ids; rows of `hits` are queries, in order."""
    return {
        query: {
            passage_ids[i]: float(score) for i, score in zip(row, scores, strict=True) if i >= 0
        }
        for query, row, scores in zip(
            query_ids, hits.indices.tolist(), hits.scores.tolist(), strict=True
        )
    }
