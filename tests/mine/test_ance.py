"""Mining against a plain loop over the rules, and against real judgements."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from mining import mine_and_write, one_query, random_collection, vectors_of
from whet.errors import ConfigError
from whet.mine.ance import highest_safe_score, mine_negatives
from whet.mine.config import MineConfig
from whet.mine.mined import read_mined
from whet.search.dense import score_pairs

CONFIGS = st.builds(
    MineConfig,
    negatives=st.integers(1, 6),
    skip=st.integers(0, 4),
    depth=st.integers(5, 40),
    relative_margin=st.sampled_from([None, 0.0, 0.05, 0.5]),
    absolute_margin=st.sampled_from([None, 0.1]),
    max_score=st.sampled_from([None, 0.2]),
)


def known_texts(data, query):
    """Texts of all passages that answer a query, or one of the same text, by any split."""
    texts = set()
    for split in data.qrels:
        for other, passages in data.positives(split).items():
            if data.queries[other] == data.queries[query]:
                texts.update(data.passages[passage].content for passage in passages)
    return texts


def highest_score(weakest, config):
    """The score above which a candidate is dropped."""
    limits = [math.inf]
    if config.relative_margin is not None:
        limits.append(weakest - config.relative_margin * abs(weakest))
    if config.absolute_margin is not None:
        limits.append(weakest - config.absolute_margin)
    if config.max_score is not None:
        limits.append(config.max_score)
    return min(limits)


def plain_loop(data, queries, passages, config):
    """The rules for one query after the other, for the strategy "ance" with "top" picks."""
    ids = list(data.passages)
    mined = {}
    for row, (query, positives) in enumerate(data.positives("train").items()):
        rows = np.full(len(ids), row)
        values = score_pairs(queries, passages, rows, np.arange(len(ids))).tolist()
        scores = dict(zip(ids, values, strict=True))
        limit = highest_score(min(scores[passage] for passage in positives), config)
        texts = known_texts(data, query)
        data_gives = data.negatives.get(query, ())
        negatives = [p for p in data_gives if data.passages[p].content not in texts]
        ranked = sorted(ids, key=lambda p, scores=scores: (-scores[p], ids.index(p)))
        for rank, passage in enumerate(ranked[: config.depth], start=1):
            is_irrelevant = data.qrels["train"][query].get(passage, 1) <= 0
            is_safe = is_irrelevant or scores[passage] <= limit
            is_known = passage in data_gives or data.passages[passage].content in texts
            if rank > config.skip and is_safe and not is_known:
                negatives.append(passage)
        mined[query] = negatives[: config.negatives]
    return mined


@given(st.integers(0, 10_000), CONFIGS)
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_loop_and_counts_every_candidate(seed, config):
    data = random_collection(seed)
    rng = np.random.default_rng(seed)
    # Scores of either sign.
    queries = rng.uniform(-1, 1, (len(data.positives("train")), 4)).astype(np.float32)
    passages = rng.uniform(-1, 1, (len(data.passages), 4)).astype(np.float32)
    mined, summary = mine_negatives(data, queries, passages, config)
    expected = plain_loop(data, queries, passages, config)
    assert {row.query_id: [n.passage_id for n in row.negatives] for row in mined} == expected
    taken, dropped = sum(summary.taken.values()), sum(summary.dropped.values())
    assert summary.candidates == taken + summary.left_over + dropped
    assert taken == sum(len(row.negatives) for row in mined)
    assert summary.short == sum(len(row.negatives) < config.negatives for row in mined)


def names(mined):
    return [[negative.passage_id for negative in row.negatives] for row in mined]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.8, 0.9, 0.77, 0.75, 0.1), ["p3", "p4"]),  # 0.95 · 0.8 = 0.76
        # 1.05 · -0.8 = -0.84, where 0.95 · -0.8 would let p2 in
        ((-0.8, -0.7, -0.81, -0.85, -0.9), ["p3", "p4"]),
        ((0.0, 0.1, 0.0, -0.1), ["p2", "p3"]),
    ],
)
def test_relative_margin_on_both_sides_of_zero(scores, expected):
    mined, _ = mine_negatives(*one_query(*scores), MineConfig())
    assert names(mined) == [expected]


def test_the_default_margin_is_nv_retrievers_to_the_last_bit():
    scores = np.linspace(0.05, 0.95, 10_000, dtype=np.float32)  # what MiniLM gives positives
    limit = highest_safe_score(scores, MineConfig().relative_margin, None)
    np.testing.assert_allclose(limit, 0.95 * scores.astype(float), rtol=1e-6)
    # As when the margin was given as a share to keep.
    assert (limit == scores - np.float32(1 - 0.95) * scores).all()


def test_the_weakest_of_several_positives_sets_the_margin():
    data, query, passages = one_query(0.9, 0.5, 0.6, 0.4)
    data = replace(data, qrels={"train": {"q": {"p0": 1, "p1": 1}}})
    mined, summary = mine_negatives(data, query, passages, MineConfig())
    assert names(mined) == [["p3"]]
    assert summary.dropped["likely_false_negative"] == 1
    assert summary.mean_positive_score == 0.5
    assert summary.mean_positive_rank == (1 + 3) / 2


def test_mix_takes_from_both_searches_in_turn_and_no_passage_twice():
    words = ["answer", *["other"] * 2, "query", *["other"] * 3, *["query"] * 2, "other"]
    texts = [f"{word} p{number}" for number, word in enumerate(words)]
    line = one_query(1.0, *np.linspace(0.9, 0.1, 9), texts=texts)
    mined, summary = mine_negatives(*line, MineConfig(strategy="mix", negatives=7))
    negatives = [(n.passage_id, n.source, n.rank) for n in mined[0].negatives]
    assert negatives == [
        ("p3", "bm25", 1),
        ("p1", "ance", 2),
        ("p7", "bm25", 2),
        ("p2", "ance", 3),
        ("p8", "bm25", 3),
        ("p4", "ance", 5),
        ("p5", "ance", 6),
    ]
    assert summary.dropped["found_twice"] == 3


def test_sampling_draws_evenly_from_the_window_and_follows_the_seed():
    line = one_query(1.0, *np.linspace(0.9, 0.1, 30))

    def draw(seed):
        config = MineConfig(pick="sample", negatives=3, seed=seed)
        return names(mine_negatives(*line, config)[0])[0]

    drawn = [draw(seed) for seed in range(200)]
    ids = [passage for passage in line[0].passages if passage != "p0"]
    counts = [sum(passage in row for row in drawn) for passage in ids]
    assert min(counts) > 5  # 20 expected of each
    assert max(counts) < 45
    assert draw(7) == drawn[7]


def test_random_candidates_pass_the_same_filters():
    line = one_query(0.5, 0.9, 0.4, 0.3)
    mined, _ = mine_negatives(*line, MineConfig(strategy="random"))
    assert sorted(names(mined)[0]) == ["p2", "p3"]
    assert {n.source for n in mined[0].negatives} == {"random"}


def test_vectors_that_do_not_fit_are_refused():
    data, query, passages = one_query(1.0, 0.5)
    with pytest.raises(ConfigError, match="1 passage vectors, and 'line' has 2"):
        mine_negatives(data, query, passages[:1], MineConfig())


@pytest.mark.parametrize("name", ["medquad_mini", pytest.param("medquad", marks=pytest.mark.slow)])
def test_no_known_positive_is_ever_a_negative_on_real_judgements(shared, name):
    data = whet.load(shared(name))
    config = MineConfig(strategy="mix", relative_margin=None, negatives=8)
    mined, summary = mine_negatives(data, *vectors_of(data), config)
    several = [query for query, positives in data.positives("train").items() if len(positives) > 1]
    assert several, "the test needs queries with a second positive"
    positives_of = [data.positives(split) for split in data.qrels]
    for row in mined:
        positives = {passage for split in positives_of for passage in split.get(row.query_id, ())}
        assert positives.isdisjoint(negative.passage_id for negative in row.negatives)
    assert summary.dropped["known_positive"] > len(several)  # the rule had work to do


MINE_AND_WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from mining import mine_and_write
mine_and_write(Path(sys.argv[2]))
"""


def test_bytes_are_the_same_in_a_process_with_another_hash_seed(tmp_path):
    mine_and_write(tmp_path)
    other = tmp_path / "other"
    arguments = [str(Path(__file__).parents[1]), str(other)]
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    subprocess.run(
        [sys.executable, "-c", MINE_AND_WRITE, *arguments],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": seed},
    )
    for name in ("mix.jsonl", "random.jsonl"):
        assert (tmp_path / name).read_bytes() == (other / name).read_bytes()
        rows = read_mined(other / name)
        assert sum(len(row.negatives) for row in rows) > len(rows)
