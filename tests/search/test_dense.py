"""Top-k search against a stable argsort of float64 products, whatever the blocks and the backend."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.errors import ConfigError, MissingExtra
from whet.search import dense as search
from whet.search.dense import score_pairs, top_k


def unit(rng, rows, dim):
    vectors = rng.standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def oracle(queries, passages, k):
    """Every product on its own in float64, rounded to float32, then a stable sort: ties go to the lower index."""
    scores = np.array(
        [[np.sum(q.astype(np.float64) * p) for p in passages] for q in queries], np.float32
    )
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(scores, indices, axis=1)


@st.composite
def searches(draw):
    """Few distinct passages, repeated and shuffled: exact ties inside blocks, across blocks, and at the cut."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dim, distinct = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    passages = unit(rng, distinct, dim)[rng.integers(0, distinct, draw(st.integers(1, 120)))]
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
@settings(max_examples=150, deadline=None)
def test_ranking_equals_a_stable_sort_for_every_block_size(
    case, query_block, passage_block, slack, backend
):
    queries, passages, k = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "QUERY_BLOCK", query_block)
        patch.setattr(search, "PASSAGE_BLOCK", passage_block)
        patch.setattr(search, "SLACK", slack)
        hits = top_k(queries, passages, k, backend=backend)
    indices, scores = oracle(queries, passages, k)
    np.testing.assert_array_equal(hits.indices, indices)
    np.testing.assert_array_equal(hits.scores, scores)


def test_equal_passages_tie_in_corpus_order_at_the_real_block_size():
    rng = np.random.default_rng(3)
    passages = np.repeat(unit(rng, 1, 384), search.PASSAGE_BLOCK + 500, axis=0)
    hits = top_k(unit(rng, 2, 384), passages, 300)
    np.testing.assert_array_equal(hits.indices, np.tile(np.arange(300), (2, 1)))


def test_scores_of_single_pairs_do_not_depend_on_company():
    rng = np.random.default_rng(5)
    queries, passages = unit(rng, 4, 384), unit(rng, 3000, 384)
    together = score_pairs(
        queries, passages, np.repeat(np.arange(4), 3000), np.tile(np.arange(3000), 4)
    )
    alone = score_pairs(queries, passages, np.array([2]), np.array([1234]))
    assert alone[0] == together[2 * 3000 + 1234]
    assert alone[0] == np.float32(
        sum(float(a) * float(b) for a, b in zip(queries[2], passages[1234], strict=True))
    )


def test_more_than_there_are_gives_all_there_are():
    hits = top_k(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 10)
    assert hits.indices.tolist() == [[0, 1], [1, 0]]
    assert top_k(np.eye(2, dtype=np.float32), np.zeros((0, 2), np.float32), 10).indices.shape == (
        2,
        0,
    )
    assert top_k(np.zeros((0, 2), np.float32), np.eye(2, dtype=np.float32), 1).scores.shape == (
        0,
        1,
    )


def test_inverted_file_finds_nearly_all_and_never_returns_a_passage_twice(monkeypatch):
    monkeypatch.setattr(search, "APPROXIMATE_FROM", 4000)
    rng = np.random.default_rng(1)
    centres = unit(rng, 60, 32)
    passages = centres[rng.integers(0, 60, 12_000)] + 0.1 * unit(rng, 12_000, 32)
    queries = centres[:40] + 0.1 * unit(rng, 40, 32)
    exact, found = (
        top_k(queries, passages, 10, backend="exact"),
        top_k(queries, passages, 10, backend="faiss"),
    )
    shared = [
        len(set(a) & set(b))
        for a, b in zip(exact.indices.tolist(), found.indices.tolist(), strict=True)
    ]
    assert np.mean(shared) > 9.5
    assert all(len(set(row)) == 10 for row in found.indices.tolist())


def test_inverted_file_that_runs_dry_is_searched_whole(monkeypatch):
    monkeypatch.setattr(search, "APPROXIMATE_FROM", 4000)
    rng = np.random.default_rng(2)
    passages, queries = unit(rng, 4000, 8), unit(rng, 3, 8)
    exact, found = (
        top_k(queries, passages, 3900, backend="exact"),
        top_k(queries, passages, 3900, backend="faiss"),
    )
    np.testing.assert_array_equal(exact.indices, found.indices)


def test_auto_takes_faiss_only_for_large_corpora_and_falls_back_without_it(monkeypatch):
    real, queries = importlib.import_module, np.eye(3, dtype=np.float32)

    def without_faiss(name, package=None):
        if name == "faiss":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without_faiss)
    with pytest.raises(MissingExtra, match=r"pip install 'whet\[faiss\]'"):
        top_k(queries, queries, 1, backend="faiss")
    assert top_k(queries, queries, 1).indices.tolist() == [[0], [1], [2]]
    monkeypatch.setattr(search, "APPROXIMATE_FROM", 2)
    with pytest.raises(MissingExtra):
        top_k(queries, queries, 1)
    monkeypatch.setattr(search, "find_spec", lambda name: None)
    assert top_k(queries, queries, 1).indices.tolist() == [[0], [1], [2]]


def test_bad_vectors_are_refused_with_what_came_and_where():
    good, broken = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    broken[2, 0] = np.nan
    with pytest.raises(ConfigError, match="queries have dim 3 and passages dim 2"):
        top_k(good, good[:, :2], 1)
    with pytest.raises(
        ConfigError, match="passages: 1 of 3 vectors are not finite, first at row 2"
    ):
        top_k(good, broken, 1)
    with pytest.raises(ConfigError, match="k is 0"):
        top_k(good, good, 0)
    with pytest.raises(ConfigError, match=r"queries have shape \(3,\)"):
        top_k(good[0], good, 1)
