"""Top-k search against a stable argsort of float64 products, for any blocks and any backend."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.errors import ConfigError, MissingExtra
from whet.search import dense
from whet.search.dense import score_pairs, top_k


def unit(rng, rows, dim):
    vectors = rng.standard_normal((rows, dim))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def oracle(queries, passages, k):
    """Every product alone in float64, rounded to float32, then a stable sort: ties by lower row."""
    products = [[np.sum(query.astype(np.float64) * p) for p in passages] for query in queries]
    scores = np.array(products, np.float32)
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(scores, indices, axis=1)


@st.composite
def searches(draw):
    """Few distinct passages, shuffled: exact ties inside blocks, across blocks, and at the cut."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dim = draw(st.integers(1, 40))
    distinct = draw(st.integers(1, 12))
    rows = rng.integers(0, distinct, draw(st.integers(1, 120)))
    passages = unit(rng, distinct, dim)[rows]
    if draw(st.booleans()):  # near ties, closer than float32 products can tell
        passages += rng.uniform(-1e-7, 1e-7, passages.shape).astype(np.float32)
    return unit(rng, draw(st.integers(1, 6)), dim), passages, draw(st.integers(1, 130))


@given(
    searches(),
    st.integers(1, 7),
    st.integers(1, 50),
    st.integers(0, 20),
    st.sampled_from(["exact", "faiss"]),
)
@settings(max_examples=100, deadline=None)
def test_ranking_equals_a_stable_sort_for_every_block_size(
    case, query_block, passage_block, extra, backend
):
    queries, passages, k = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "QUERIES_PER_BLOCK", query_block)
        patch.setattr(dense, "PASSAGES_PER_BLOCK", passage_block)
        patch.setattr(dense, "EXTRA_PROPOSALS", extra)
        hits = top_k(queries, passages, k, backend=backend)
    indices, scores = oracle(queries, passages, k)
    np.testing.assert_array_equal(hits.indices, indices)
    np.testing.assert_array_equal(hits.scores, scores)


def test_equal_passages_tie_in_corpus_order_at_the_real_block_size():
    rng = np.random.default_rng(3)
    passages = np.repeat(unit(rng, 1, 384), dense.PASSAGES_PER_BLOCK + 500, axis=0)
    hits = top_k(unit(rng, 2, 384), passages, 300)
    np.testing.assert_array_equal(hits.indices, np.tile(np.arange(300), (2, 1)))


def test_scores_of_single_pairs_do_not_depend_on_company():
    rng = np.random.default_rng(5)
    queries = unit(rng, 4, 384)
    passages = unit(rng, 3000, 384)
    query_rows = np.repeat(np.arange(4), 3000)
    together = score_pairs(queries, passages, query_rows, np.tile(np.arange(3000), 4))
    alone = score_pairs(queries, passages, np.array([2]), np.array([1234]))
    assert alone[0] == together[2 * 3000 + 1234]
    pairs = zip(queries[2], passages[1234], strict=True)
    assert alone[0] == np.float32(sum(float(a) * float(b) for a, b in pairs))


def test_more_than_there_are_gives_all_there_are():
    two = np.eye(2, dtype=np.float32)
    nothing = np.zeros((0, 2), np.float32)
    assert top_k(two, two, 10).indices.tolist() == [[0, 1], [1, 0]]
    assert top_k(two, nothing, 10).indices.shape == (2, 0)
    assert top_k(nothing, two, 1).scores.shape == (0, 1)


def test_inverted_file_finds_nearly_all_and_never_returns_a_passage_twice(monkeypatch):
    monkeypatch.setattr(dense, "MIN_PASSAGES_APPROXIMATE", 4000)
    rng = np.random.default_rng(1)
    centres = unit(rng, 60, 32)
    passages = centres[rng.integers(0, 60, 12_000)] + 0.1 * unit(rng, 12_000, 32)
    queries = centres[:40] + 0.1 * unit(rng, 40, 32)
    exact = top_k(queries, passages, 10, backend="exact").indices.tolist()
    approximate = top_k(queries, passages, 10, backend="faiss").indices.tolist()
    shared = [len(set(a) & set(b)) for a, b in zip(exact, approximate, strict=True)]
    assert np.mean(shared) > 9.5
    assert all(len(set(row)) == 10 for row in approximate)


def test_inverted_file_that_runs_dry_is_searched_whole(monkeypatch):
    monkeypatch.setattr(dense, "MIN_PASSAGES_APPROXIMATE", 4000)
    rng = np.random.default_rng(2)
    passages = unit(rng, 4000, 8)
    queries = unit(rng, 3, 8)
    exact = top_k(queries, passages, 3900, backend="exact")
    approximate = top_k(queries, passages, 3900, backend="faiss")
    np.testing.assert_array_equal(exact.indices, approximate.indices)


def test_auto_takes_faiss_only_for_large_corpora_and_falls_back_without_it(monkeypatch):
    real_import = importlib.import_module
    queries = np.eye(3, dtype=np.float32)

    def without_faiss(name, package=None):
        if name == "faiss":
            raise ImportError(name)
        return real_import(name, package)

    monkeypatch.setattr(importlib, "import_module", without_faiss)
    with pytest.raises(MissingExtra, match=r"pip install 'whet\[faiss\]'"):
        top_k(queries, queries, 1, backend="faiss")
    assert top_k(queries, queries, 1).indices.tolist() == [[0], [1], [2]]
    monkeypatch.setattr(dense, "MIN_PASSAGES_APPROXIMATE", 2)
    with pytest.raises(MissingExtra):
        top_k(queries, queries, 1)
    monkeypatch.setattr(dense, "find_spec", lambda name: None)
    assert top_k(queries, queries, 1).indices.tolist() == [[0], [1], [2]]


GOOD = np.eye(3, dtype=np.float32)
BROKEN = np.where(GOOD == 0, GOOD, np.float32([1, 1, np.nan]))


@pytest.mark.parametrize(
    ("queries", "passages", "k", "message"),
    [
        (GOOD, GOOD[:, :2], 1, "queries have dim 3 and passages dim 2"),
        (GOOD, BROKEN, 1, "passages: 1 of 3 vectors are not finite, first at row 2"),
        (GOOD, GOOD, 0, "k is 0"),
        (GOOD[0], GOOD, 1, r"queries have shape \(3,\)"),
    ],
)
def test_bad_vectors_are_refused_with_what_came_and_where(queries, passages, k, message):
    with pytest.raises(ConfigError, match=message):
        top_k(queries, passages, k)
