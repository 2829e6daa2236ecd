"""The table of candidates: its order, its repetitions, and that the first fate counts."""

from dataclasses import replace

import numpy as np

from mining import one_query
from whet.mine.candidates import Candidates, Fate, search
from whet.mine.config import MineConfig

MIX = MineConfig(strategy="mix", depth=2)


def test_columns_are_in_rank_order_and_a_second_find_is_marked():
    texts = ["w", "v", "query a", "query b b", "w", "w", "w", "given"]
    data, query, passages = one_query(0.1, 0.2, 0.9, 0.3, 0.4, 0.1, 0.1, 0.8, texts=texts)
    data = replace(data, negatives={"q": ["p7"]})
    table = search(data, query, passages, MIX, np.random.default_rng(0))
    # The model finds 2 and 7, BM25 finds 2 and 3.
    assert table.sources == ("given", "ance", "bm25", "ance", "bm25")
    assert table.ranks.tolist() == [1, 1, 1, 2, 2]
    assert table.passages.tolist() == [[7, 2, 2, 7, 3]]
    assert table.scores.tolist() == [np.array([0.8, 0.9, 0.9, 0.8, 0.3], np.float32).tolist()]
    twice, remaining = Fate.FOUND_TWICE, Fate.LEFT_OVER
    assert table.fates.tolist() == [[remaining, remaining, twice, twice, remaining]]
    assert table.from_source("bm25").tolist() == [False, False, True, False, True]


def test_cells_without_a_find_are_empty():
    data, query, passages = one_query(0.1, 0.2, texts=["nothing", "shared"])
    data = replace(data, queries={"q": "term"})
    table = search(data, query, passages, MIX, np.random.default_rng(0))
    assert table.fates[:, table.from_source("bm25")].tolist() == [[Fate.EMPTY, Fate.EMPTY]]
    assert not table.remaining[:, table.from_source("bm25")].any()


def test_the_first_fate_counts():
    fates = np.array([[Fate.LEFT_OVER, Fate.LEFT_OVER], [Fate.EMPTY, Fate.LEFT_OVER]], np.int8)
    zeros = np.zeros((2, 2))
    table = Candidates(
        zeros.astype(np.int64), zeros.astype(np.float32), fates, np.array([1, 2]), ("ance", "ance")
    )
    table.assign(np.array([True, False]), Fate.OUTSIDE_WINDOW)  # a mask of columns
    table.assign(np.ones((2, 2), bool), Fate.TAKEN)
    outside, taken, empty = Fate.OUTSIDE_WINDOW, Fate.TAKEN, Fate.EMPTY
    assert table.fates.tolist() == [[outside, taken], [empty, taken]]
    assert not table.remaining.any()
