"""One top-k contract for vectors: exact search in blocks, or faiss, with the same scores and order.

The last bits of a matrix product depend on block shape, thread count and library, and so would the
ranking of near and exact ties. So float32 products only *propose* passages. Every proposal is
scored again, one pair at a time in float64, rounded to float32, and ranked by (higher score, lower
passage row). A query whose cut falls among passages too close for float32 products to tell apart is
searched once more over the whole corpus.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float32, Int64

from whet.errors import ConfigError, require

Backend = Literal["auto", "exact", "faiss"]

QUERIES_PER_BLOCK = 1024
PASSAGES_PER_BLOCK = 8192  # with 1024 queries: 32 MB of scores at a time
PAIR_NUMBERS = 1 << 19  # numbers multiplied at a time when pairs are scored: 4 MB of float64
EXTRA_PROPOSALS = 16  # beyond k, so that near ties at the cut seldom need a second search
# Below this, exact search is fast enough: 50 queries a second on a core, at dim 384.
MIN_PASSAGES_APPROXIMATE = 1_000_000

QueryVectors: TypeAlias = Float32[np.ndarray, "query dim"]
PassageVectors: TypeAlias = Float32[np.ndarray, "doc dim"]
Proposals: TypeAlias = Int64[np.ndarray, "query proposal"]
"""Passage rows."""
PerQuery: TypeAlias = Float32[np.ndarray, " query"]


@dataclass(frozen=True, slots=True)
class Hits:
    """The best passages of every query, best first: their rows, and their scores.

    Equal scores stand in the order of the passages.
    """

    indices: Int64[np.ndarray, "query k"]
    scores: Float32[np.ndarray, "query k"]


def top_k(
    queries: QueryVectors,
    passages: PassageVectors,
    k: int,
    *,
    backend: Backend = "auto",
) -> Hits:
    """Find the k passages with the highest inner product for every query; all if there are fewer.

    "exact" compares everything, in blocks. "faiss" compares everything below
    MIN_PASSAGES_APPROXIMATE passages; from there on it looks only into the nearest cells of an
    inverted file. "auto" is exact below that size, and above it faiss where it is installed.

    Raises ConfigError on vectors of different length, vectors that are not finite, or k < 1, and
    MissingExtra when faiss is not installed and the backend is "faiss".
    """
    queries = _checked(queries, "queries")
    passages = _checked(passages, "passages")
    if queries.shape[1] != passages.shape[1]:
        raise ConfigError(
            f"queries have dim {queries.shape[1]} and passages dim {passages.shape[1]}: "
            "encode both with one model"
        )
    if k < 1:
        raise ConfigError(f"k is {k}: set it to at least 1 passage")
    passage_count = len(passages)
    k = min(k, passage_count)
    if k == 0 or len(queries) == 0:
        shape = len(queries), k
        return Hits(np.zeros(shape, np.int64), np.zeros(shape, np.float32))
    width = min(k + EXTRA_PROPOSALS, passage_count)
    if _uses_faiss(backend, passage_count):
        proposals, best_left_out = _propose_faiss(queries, passages, width)
    else:
        proposals, best_left_out = _propose_exact(queries, passages, width)
    return _rank_exactly(queries, passages, k, proposals, best_left_out)


def score_pairs(
    queries: QueryVectors,
    passages: PassageVectors,
    query_rows: Int64[np.ndarray, " pair"],
    passage_rows: Int64[np.ndarray, " pair"],
) -> Float32[np.ndarray, " pair"]:
    """Score single pairs by inner products, summed in float64.

    A pair's score does not depend on the pairs beside it.
    """
    scores = np.empty(len(query_rows), np.float32)
    pairs_per_block = max(1, PAIR_NUMBERS // queries.shape[1])
    for start in range(0, len(scores), pairs_per_block):
        block = slice(start, start + pairs_per_block)
        products = np.multiply(
            queries[query_rows[block]],
            passages[passage_rows[block]],
            dtype=np.float64,
        )
        scores[block] = products.sum(axis=1)
    return scores


def _rank_exactly(
    queries: QueryVectors,
    passages: PassageVectors,
    k: int,
    proposals: Proposals,
    best_left_out: PerQuery,
) -> Hits:
    """Score the proposals exactly and rank them; search again where the proposals may miss a hit.

    `best_left_out` is the highest float32 product that a passage outside the proposals may have.
    One query, k = 2, four proposals:

        proposals          8   3   5   1
        exact scores      .5  .9  .5  .2
        ranked             3   5   8   1     equal scores: the lower row first
        hits               3   5             the cut lies at .5

    With best_left_out = .49999 and noise = .00002, a passage outside could have an exact score of
    .5, too. Then the query is compared with the whole corpus.
    """
    query_count, width = proposals.shape
    query_rows = np.repeat(np.arange(query_count), width)  # 0 0 1 1 for two queries, width 2
    pair_scores = score_pairs(queries, passages, query_rows, proposals.ravel())
    proposal_scores = pair_scores.reshape(query_count, width)
    sort_keys = proposals, -proposal_scores  # the last key counts first
    order = np.lexsort(sort_keys)[:, :k]
    hits = Hits(
        indices=np.take_along_axis(proposals, order, axis=1),
        scores=np.take_along_axis(proposal_scores, order, axis=1),
    )
    noise = _product_noise(queries, passages)
    cuts = hits.scores[:, -1]
    is_uncertain = best_left_out + noise >= cuts
    for row in np.flatnonzero(is_uncertain):
        floor = cuts[row] - noise[row]
        rows, scores = _search_one(queries[row], passages, k, floor)
        hits.indices[row] = rows
        hits.scores[row] = scores
    return hits


def _search_one(
    query: Float32[np.ndarray, " dim"],
    passages: PassageVectors,
    k: int,
    floor: float,
) -> tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    """Rank all passages whose float32 product with one query reaches the floor."""
    products = passages @ query
    near = np.flatnonzero(products >= floor)
    query_rows = np.zeros_like(near)
    scores = score_pairs(query[None], passages, query_rows, near)
    order = np.argsort(-scores, kind="stable")
    best = order[:k]
    return near[best], scores[best]


def _product_noise(queries: QueryVectors, passages: PassageVectors) -> PerQuery:
    """Bound the error of float32 inner products in any summation order.

    Twice the textbook's dim · 2⁻²⁴ · |q| · |p| (Higham, Accuracy and Stability, section 3.1).
    """
    dim = queries.shape[1]
    lengths = np.linalg.norm(queries, axis=1)
    longest = np.linalg.norm(passages, axis=1).max()
    bound: PerQuery = lengths * longest * (dim + 2) * 2.0**-23
    return bound


def _propose_exact(
    queries: QueryVectors,
    passages: PassageVectors,
    width: int,
) -> tuple[Proposals, PerQuery]:
    """The best `width` passages of every query by float32 products, and the last one's score."""
    query_count = len(queries)
    proposals = np.empty((query_count, width), np.int64)
    best_left_out = _nothing_left_out(query_count)
    for start in range(0, query_count, QUERIES_PER_BLOCK):
        block = slice(start, start + QUERIES_PER_BLOCK)
        block_queries = torch.tensor(queries[block])
        indices, scores = _best_of_blocks(block_queries, passages, width)
        proposals[block] = indices.numpy()
        if width < len(passages):
            best_left_out[block] = scores.amin(dim=1).numpy()
    return proposals, best_left_out


def _best_of_blocks(
    queries: torch.Tensor,
    passages: PassageVectors,
    width: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices and float32 scores, (query, width), of the best passages, in no order.

    The best of the blocks so far compete with the best of the next block:

        so far      rows  2  7    scores  .9  .3
        next block  rows 11 15    scores  .5  .4
        afterwards  rows  2 11    scores  .9  .5
    """
    indices = torch.empty(len(queries), 0, dtype=torch.int64)
    scores = torch.empty(len(queries), 0)
    for start in range(0, len(passages), PASSAGES_PER_BLOCK):
        block = torch.tensor(passages[start : start + PASSAGES_PER_BLOCK])
        products = queries @ block.T
        block_width = min(width, len(block))
        new_scores, new_indices = products.topk(block_width, sorted=False)
        indices = torch.cat([indices, new_indices + start], dim=1)
        scores = torch.cat([scores, new_scores], dim=1)
        best_width = min(width, scores.shape[1])
        scores, columns = scores.topk(best_width, sorted=False)
        indices = indices.gather(1, columns)
    return indices, scores


def _nothing_left_out(query_count: int) -> PerQuery:
    return np.full(query_count, -np.inf, np.float32)


def _uses_faiss(backend: Backend, passage_count: int) -> bool:
    if backend != "auto":
        return backend == "faiss"
    is_large = passage_count >= MIN_PASSAGES_APPROXIMATE
    return is_large and find_spec("faiss") is not None


def _propose_faiss(
    queries: QueryVectors,
    passages: PassageVectors,
    width: int,
) -> tuple[Proposals, PerQuery]:
    """The best `width` passages of every query that faiss finds, and the last one's score."""
    is_approximate = len(passages) >= MIN_PASSAGES_APPROXIMATE
    index = _faiss_index(passages, is_approximate)
    scores, proposals = index.search(queries, width)
    best_left_out = scores[:, -1]
    if is_approximate or width == len(passages):
        best_left_out = _nothing_left_out(len(queries))
    # Cells that hold fewer than `width` passages pad with -1. Such a query gets any proposals, and
    # a bound that has it compared with the whole corpus.
    is_exhausted = proposals[:, -1] < 0
    proposals[is_exhausted] = np.arange(width)
    best_left_out[is_exhausted] = np.inf
    return proposals, best_left_out


def _faiss_index(passages: PassageVectors, is_approximate: bool) -> Any:
    faiss = require("faiss", "faiss")
    dim = passages.shape[1]
    index = faiss.IndexFlatIP(dim)
    if is_approximate:
        cells = int(4 * len(passages) ** 0.5)
        index = faiss.IndexIVFFlat(index, dim, cells, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(8, cells // 32)
        index.train(passages)
    index.add(passages)
    return index


def _checked(vectors: PassageVectors, name: str) -> PassageVectors:
    """The vectors as a C-contiguous float32 matrix; raises ConfigError unless they are finite."""
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ConfigError(f"{name} have shape {vectors.shape}: expected a matrix (row, dim)")
    is_finite = np.isfinite(vectors).all(axis=1)
    broken = np.flatnonzero(~is_finite)
    if len(broken):
        raise ConfigError(
            f"{name}: {len(broken)} of {len(vectors)} vectors are not finite, first at row "
            f"{broken[0]}: the model is broken, take an earlier checkpoint"
        )
    return vectors
