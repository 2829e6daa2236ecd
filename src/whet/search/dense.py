"""One top-k contract for vectors: exact blocked search, or faiss, with the same scores in the same order.

The last bits of a matrix product depend on block shape, thread count and library, and so would the ranking of near and
exact ties. So float32 products only *propose* passages. Every proposal is scored anew, one pair at a time in float64,
rounded to float32, and ranked by (higher score, lower passage index). A query whose cut falls among passages too close
for float32 products to tell apart is searched once more over the whole corpus.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64

from whet.errors import ConfigError, require

Backend = Literal["auto", "exact", "faiss"]

QUERY_BLOCK, PASSAGE_BLOCK = 1024, 8192  # 32 MB of scores at a time
PAIR_CELLS = 1 << 19  # numbers multiplied at a time when single pairs are scored: 4 MB of float64
SLACK = 16  # proposals beyond k, so that near ties at the cut seldom need a second search
APPROXIMATE_FROM = (
    1_000_000  # passages; below, exact search does (at dim 384 some 50 queries a second on a core)
)


@dataclass(frozen=True, slots=True)
class Hits:
    """The best passages of every query, best first; equal scores stand in the order of the passages."""

    indices: Int64[np.ndarray, "query k"]
    scores: Float32[np.ndarray, "query k"]


def top_k(
    queries: Float32[np.ndarray, "query dim"],
    passages: Float32[np.ndarray, "doc dim"],
    k: int,
    *,
    backend: Backend = "auto",
) -> Hits:
    """Find the k passages with the highest inner product for every query; all of them where there are fewer than k.

    "exact" compares everything, in blocks. "faiss" compares everything below APPROXIMATE_FROM passages, and from there
    on looks into the nearest cells of an inverted file only. "auto" is exact, and from there on faiss where installed.
    Raises ConfigError on vectors of different length, vectors that are not finite, or k < 1; MissingExtra when faiss is
    asked for and not installed.
    """
    queries, passages = _checked(queries, "queries"), _checked(passages, "passages")
    if queries.shape[1] != passages.shape[1]:
        raise ConfigError(
            f"queries have dim {queries.shape[1]} and passages dim {passages.shape[1]}: encode both with one model"
        )
    if k < 1:
        raise ConfigError(f"k is {k}: ask for at least 1 passage")
    k = min(k, len(passages))
    if k == 0 or len(queries) == 0:
        return Hits(np.zeros((len(queries), k), np.int64), np.zeros((len(queries), k), np.float32))
    propose = _propose_faiss if _takes_faiss(backend, len(passages)) else _propose_exact
    proposals, left_out = propose(queries, passages, min(k + SLACK, len(passages)))
    return _settle(queries, passages, k, proposals, left_out)


def score_pairs(
    queries: Float32[np.ndarray, "query dim"],
    passages: Float32[np.ndarray, "doc dim"],
    query_rows: Int64[np.ndarray, " pair"],
    passage_rows: Int64[np.ndarray, " pair"],
) -> Float32[np.ndarray, " pair"]:
    """Score single pairs by inner products, summed in float64: the same number whatever is scored along with a pair."""
    scores = np.empty(len(query_rows), np.float32)
    step = max(1, PAIR_CELLS // queries.shape[1])
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        products = np.multiply(
            queries[query_rows[part]], passages[passage_rows[part]], dtype=np.float64
        )
        scores[part] = products.sum(axis=1)
    return scores


def _settle(
    queries: Float32[np.ndarray, "query dim"],
    passages: Float32[np.ndarray, "doc dim"],
    k: int,
    proposals: Int64[np.ndarray, "query proposal"],
    left_out: Float32[np.ndarray, " query"],
) -> Hits:
    """Score the proposals exactly, rank them, and search again where a passage left out might belong among them.

    `left_out` is the highest float32 product that a passage outside the proposals may have.
    """
    rows = np.repeat(np.arange(len(queries)), proposals.shape[1])
    scores = score_pairs(queries, passages, rows, proposals.ravel()).reshape(proposals.shape)
    order = np.lexsort((proposals, -scores))[:, :k]
    indices = np.take_along_axis(proposals, order, axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    noise = _product_noise(queries, passages)
    for row in np.flatnonzero(left_out + noise >= scores[:, -1]):
        floor = scores[row, -1] - noise[row]
        indices[row], scores[row] = _search_one(queries[row : row + 1], passages, k, floor)
    return Hits(indices, scores)


def _search_one(
    query: Float32[np.ndarray, "one dim"],
    passages: Float32[np.ndarray, "doc dim"],
    k: int,
    floor: float,
) -> tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    near = np.flatnonzero(passages @ query[0] >= floor)
    scores = score_pairs(query, passages, np.zeros_like(near), near)
    best = np.argsort(-scores, kind="stable")[:k]
    return near[best], scores[best]


def _product_noise(
    queries: Float32[np.ndarray, "query dim"], passages: Float32[np.ndarray, "doc dim"]
) -> Float32[np.ndarray, " query"]:
    """Bound the error of float32 inner products in any summation order: twice the textbook's dim · 2⁻²⁴ · |q| · |p|."""
    longest = np.linalg.norm(passages, axis=1).max()
    bound: Float32[np.ndarray, " query"] = (
        np.linalg.norm(queries, axis=1) * longest * (queries.shape[1] + 2) * 2.0**-23
    )
    return bound


def _propose_exact(
    queries: Float32[np.ndarray, "query dim"], passages: Float32[np.ndarray, "doc dim"], width: int
) -> tuple[Int64[np.ndarray, "query proposal"], Float32[np.ndarray, " query"]]:
    proposals = np.empty((len(queries), width), np.int64)
    left_out = np.full(len(queries), -np.inf, np.float32)
    for start in range(0, len(queries), QUERY_BLOCK):
        part = slice(start, start + QUERY_BLOCK)
        indices, scores = _best_of_blocks(torch.tensor(queries[part]), passages, width)
        proposals[part] = indices.numpy()
        if width < len(passages):
            left_out[part] = scores.amin(dim=1).numpy()
    return proposals, left_out


def _best_of_blocks(
    queries: torch.Tensor, passages: Float32[np.ndarray, "doc dim"], width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return indices and float32 scores, (query, width), of the best passages, in no order."""
    indices, scores = torch.empty(len(queries), 0, dtype=torch.int64), torch.empty(len(queries), 0)
    for start in range(0, len(passages), PASSAGE_BLOCK):
        block = torch.tensor(passages[start : start + PASSAGE_BLOCK])
        new_scores, new_indices = (queries @ block.T).topk(min(width, len(block)), sorted=False)
        indices, scores = (
            torch.cat([indices, new_indices + start], dim=1),
            torch.cat([scores, new_scores], dim=1),
        )
        scores, kept = scores.topk(min(width, scores.shape[1]), sorted=False)
        indices = indices.gather(1, kept)
    return indices, scores


def _takes_faiss(backend: Backend, passages: int) -> bool:
    if backend == "auto":
        return passages >= APPROXIMATE_FROM and find_spec("faiss") is not None
    return backend == "faiss"


def _propose_faiss(
    queries: Float32[np.ndarray, "query dim"], passages: Float32[np.ndarray, "doc dim"], width: int
) -> tuple[Int64[np.ndarray, "query proposal"], Float32[np.ndarray, " query"]]:
    approximate = len(passages) >= APPROXIMATE_FROM
    scores, proposals = _faiss_index(passages, approximate).search(queries, width)
    exhausted = proposals[:, -1] < 0  # the cells looked into held fewer passages than asked for
    proposals[exhausted] = np.arange(width)
    everything_seen = approximate or width == len(passages)
    left_out = np.full(len(queries), -np.inf, np.float32) if everything_seen else scores[:, -1]
    left_out[exhausted] = np.inf
    return proposals, left_out


def _faiss_index(passages: Float32[np.ndarray, "doc dim"], approximate: bool) -> Any:
    faiss = require("faiss", "faiss")
    index = faiss.IndexFlatIP(passages.shape[1])
    if approximate:
        cells = int(4 * len(passages) ** 0.5)
        index = faiss.IndexIVFFlat(index, passages.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(8, cells // 32)
        index.train(passages)
    index.add(passages)
    return index


def _checked(vectors: Float32[np.ndarray, "row dim"], name: str) -> Float32[np.ndarray, "row dim"]:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ConfigError(f"{name} have shape {vectors.shape}: expected a matrix (row, dim)")
    if len(broken := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise ConfigError(
            f"{name}: {len(broken)} of {len(vectors)} vectors are not finite, first at row {broken[0]}: "
            "the model is broken, take an earlier checkpoint"
        )
    return vectors
