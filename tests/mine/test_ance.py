"""Mining against a plain loop over the rules, and against real judgements."""

import hashlib
import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import whet
from whet.errors import ConfigError
from whet.mine.ance import highest_safe_score, mine_negatives
from whet.mine.config import MineConfig
from whet.mine.mined import read_mined
from whet.records import Collection, Passage
from whet.search.bm25 import terms
from whet.search.dense import score_pairs

SHARED = Path(__file__).parents[3] / "shared" / "data"


def hashed_vectors(texts, dim=64):
    """Unit vectors that are alike for texts that share words: a fixed random direction per word, summed."""
    rows = np.array(
        [sum((direction(term, dim) for term in terms(text)), np.zeros(dim)) for text in texts]
    )
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)


@cache
def direction(term, dim):
    seed = int.from_bytes(hashlib.sha256(term.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(dim)


def vectors_of(data):
    queries = hashed_vectors([data.queries[query] for query in data.positives("train")])
    return queries, hashed_vectors([passage.content for passage in data.passages.values()])


def random_collection(seed, queries=5, passages=30):
    """Judgements over three splits, given negatives, and passages that share their text."""
    rng = np.random.default_rng(seed)
    texts = [f"passage {number % 24}" for number in range(passages)]

    def judge(names):
        return {
            name: {
                f"p{p}": int(rng.integers(-1, 3)) for p in rng.choice(passages, 4, replace=False)
            }
            for name in names
        }

    names = [f"q{number}" for number in range(queries)]
    return Collection(
        "random",
        {f"p{number}": Passage(f"p{number}", text) for number, text in enumerate(texts)},
        {name: f"query {number % 4}" for number, name in enumerate([*names, "t0", "t1"])},
        {"train": judge(names), "dev": judge(["t0"]), "test": judge(["t1", "q0"])},
        {"q1": ["p3", "p9"], "q2": [f"p{number}" for number in range(9)]},
    )


def plain_loop(data, queries, passages, config):
    """The rules one after the other for one query at a time, for the strategy "ance" with "top" picks."""
    ids = list(data.passages)
    mined = {}
    for row, query in enumerate(data.positives("train")):
        text = data.queries[query]
        answers = {
            passage
            for split in data.qrels
            for other, found in data.positives(split).items()
            if data.queries[other] == text
            for passage in found
        }
        contents = {data.passages[passage].content for passage in answers}
        score = dict(
            zip(
                ids,
                score_pairs(
                    queries, passages, np.full(len(ids), row), np.arange(len(ids))
                ).tolist(),
                strict=True,
            )
        )
        weakest = min(score[passage] for passage in data.positives("train")[query])
        limit = math.inf
        if config.relative_margin is not None:
            limit = min(limit, weakest - config.relative_margin * abs(weakest))
        if config.absolute_margin is not None:
            limit = min(limit, weakest - config.absolute_margin)
        given_negatives = [
            p for p in data.negatives.get(query, ()) if data.passages[p].content not in contents
        ]
        ranked = sorted(ids, key=lambda p, score=score: (-score[p], ids.index(p)))[: config.depth]
        found = []
        for rank, passage in enumerate(ranked, start=1):
            refuted = data.qrels["train"][query].get(passage, 1) <= 0
            too_high = score[passage] > min(
                limit, math.inf if config.max_score is None else config.max_score
            )
            known = data.passages[passage].content in contents or passage in data.negatives.get(
                query, ()
            )
            if rank > config.skip and not known and (refuted or not too_high):
                found.append(passage)
        mined[query] = [*given_negatives, *found][: config.negatives]
    return mined


@given(
    st.integers(0, 10_000),
    st.integers(1, 6),
    st.integers(0, 4),
    st.integers(5, 40),
    st.sampled_from([None, 0.0, 0.05, 0.5]),
    st.sampled_from([None, 0.1]),
    st.sampled_from([None, 0.2]),
)
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_loop_and_counts_every_candidate(
    seed, negatives, skip, depth, relative, absolute, highest
):
    data = random_collection(seed)
    rng = np.random.default_rng(seed)
    queries = rng.uniform(-1, 1, (len(data.positives("train")), 4)).astype(
        np.float32
    )  # scores of either sign
    passages = rng.uniform(-1, 1, (len(data.passages), 4)).astype(np.float32)
    config = MineConfig(
        negatives=negatives,
        skip=skip,
        depth=depth,
        relative_margin=relative,
        absolute_margin=absolute,
        max_score=highest,
    )
    mined, summary = mine_negatives(data, queries, passages, config)
    assert {row.query_id: [n.passage_id for n in row.negatives] for row in mined} == plain_loop(
        data, queries, passages, config
    )
    assert summary.candidates == sum(summary.taken.values()) + summary.left_over + sum(
        summary.dropped.values()
    )
    assert sum(summary.taken.values()) == sum(len(row.negatives) for row in mined)
    assert summary.short == sum(len(row.negatives) < negatives for row in mined)


def line(*scores):
    """A collection with one query, positive first, whose passages score exactly `scores`."""
    passages = {
        f"p{number}": Passage(f"p{number}", f"text {number}") for number in range(len(scores))
    }
    data = Collection("line", passages, {"q": "query"}, {"train": {"q": {"p0": 1}}})
    return data, np.array([[1.0]], np.float32), np.array(scores, np.float32)[:, None]


def names(mined):
    return [[negative.passage_id for negative in row.negatives] for row in mined]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.8, 0.9, 0.77, 0.75, 0.1), ["p3", "p4"]),  # 0.95 · 0.8 = 0.76
        (
            (-0.8, -0.7, -0.81, -0.85, -0.9),
            ["p3", "p4"],
        ),  # 1.05 · -0.8 = -0.84, where 0.95 · -0.8 would let p2 in
        ((0.0, 0.1, 0.0, -0.1), ["p2", "p3"]),
    ],
)
def test_relative_margin_on_both_sides_of_zero(scores, expected):
    assert names(mine_negatives(*line(*scores), MineConfig())[0]) == [expected]


def test_the_default_margin_is_nv_retrievers_to_the_last_bit():
    scores = np.linspace(0.05, 0.95, 10_000, dtype=np.float32)  # what MiniLM gives positives
    limit = highest_safe_score(scores, MineConfig().relative_margin, None)
    np.testing.assert_allclose(limit, 0.95 * scores.astype(float), rtol=1e-6)
    assert (
        limit == scores - np.float32(1 - 0.95) * scores
    ).all()  # as when the margin was given as a share to keep


def test_the_weakest_of_several_positives_sets_the_margin():
    data, query, passages = line(0.9, 0.5, 0.6, 0.4)
    data = Collection("line", data.passages, data.queries, {"train": {"q": {"p0": 1, "p1": 1}}})
    mined, summary = mine_negatives(data, query, passages, MineConfig())
    assert names(mined) == [["p3"]]
    assert summary.dropped["likely_false_negative"] == 1
    assert summary.mean_positive_score == 0.5
    assert summary.mean_positive_rank == (1 + 3) / 2


def test_the_summary_names_every_reason():
    passages = {
        f"p{number}": Passage(f"p{number}", text)
        for number, text in enumerate(["a", "b", "A ", "c", "d", "e", "f", "g"])
    }
    qrels = {"train": {"q": {"p0": 1}}, "test": {"same": {"p1": 1}}}
    data = Collection(
        "reasons", passages, {"q": "query", "same": "Query"}, qrels, {"q": ["p6", "p0"]}
    )
    scores = np.array([0.5, 0.9, 0.4, 0.95, 0.8, 0.3, 0.2, 1.0], np.float32)[:, None]
    config = MineConfig(negatives=2, skip=1, max_score=0.9, depth=7)
    mined, summary = mine_negatives(data, np.array([[1.0]], np.float32), scores, config)
    assert [(n.passage_id, n.rank, n.source) for n in mined[0].negatives] == [
        ("p6", 1, "given"),
        ("p5", 7, "ance"),
    ]
    assert summary.to_json() == {
        "queries": 1,
        "candidates": 9,
        "taken": {"given": 1, "ance": 1},
        "left_over": 0,
        "dropped": {
            "found_twice": 1,  # p0, given and found
            "outside_window": 1,  # p7
            "known_positive": 1,  # p0, given
            "positive_elsewhere": 1,  # p1
            "same_text_as_positive": 1,  # p2
            "above_max_score": 1,  # p3
            "likely_false_negative": 1,  # p4
        },
        "short": 0,
        "mean_negative_score": 0.25,
        "mean_positive_score": 0.5,
        "positives": 1,
        "positives_found": 1,
        "mean_positive_rank": 5.0,
        "suspected_share": 0.5,  # p3 and p4, beside the two that were taken
    }
    assert summary.line().startswith(
        "2 hard negatives for 1 queries; 50.0% of the candidates may be answers"
    )
    assert sum(summary.counts().values()) == summary.candidates


def test_mix_takes_from_both_searches_in_turn_and_no_passage_twice():
    data, query, passages = line(1.0, *np.linspace(0.9, 0.1, 9))
    words = [
        "answer",
        "other",
        "other",
        "query",
        "other",
        "other",
        "other",
        "query",
        "query",
        "other",
    ]
    texts = {p: Passage(p, f"{word} {p}") for p, word in zip(data.passages, words, strict=True)}
    data = Collection("mix", texts, data.queries, data.qrels)
    mined, summary = mine_negatives(data, query, passages, MineConfig(strategy="mix", negatives=7))
    found = [(n.passage_id, n.source, n.rank) for n in mined[0].negatives]
    assert found[:4] == [("p3", "bm25", 1), ("p1", "ance", 2), ("p7", "bm25", 2), ("p2", "ance", 3)]
    assert found[4:] == [("p8", "bm25", 3), ("p4", "ance", 5), ("p5", "ance", 6)]
    assert summary.dropped["found_twice"] == 3


def test_sampling_draws_evenly_from_the_window_and_follows_the_seed():
    data, query, passages = line(1.0, *np.linspace(0.9, 0.1, 30))
    drawn = [
        names(
            mine_negatives(
                data, query, passages, MineConfig(pick="sample", negatives=3, seed=seed)
            )[0]
        )[0]
        for seed in range(200)
    ]
    counts = {p: sum(p in row for row in drawn) for p in data.passages if p != "p0"}
    assert min(counts.values()) > 5  # 20 expected of each
    assert max(counts.values()) < 45
    again = names(
        mine_negatives(data, query, passages, MineConfig(pick="sample", negatives=3, seed=7))[0]
    )[0]
    assert again == drawn[7]


def test_random_candidates_pass_the_same_filters():
    data, query, passages = line(0.5, 0.9, 0.4, 0.3)
    mined, _ = mine_negatives(data, query, passages, MineConfig(strategy="random"))
    assert sorted(names(mined)[0]) == ["p2", "p3"]
    assert {n.source for n in mined[0].negatives} == {"random"}


def test_settings_and_rows_that_do_not_fit_are_refused():
    with pytest.raises(ValidationError, match="skip is 9 and depth 9"):
        MineConfig(skip=9, depth=9)
    with pytest.raises(ValidationError, match="negativs"):
        MineConfig(negativs=3)
    with pytest.raises(ValidationError, match="relative_margin"):
        MineConfig(relative_margin=1.0)
    data, query, passages = line(1.0, 0.5)
    with pytest.raises(ConfigError, match="1 passage vectors, and 'line' has 2"):
        mine_negatives(data, query, passages[:1], MineConfig())


@pytest.mark.parametrize("name", ["medquad_mini", pytest.param("medquad", marks=pytest.mark.slow)])
def test_no_known_positive_is_ever_a_negative_on_real_judgements(name):
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not here")
    data = whet.load(SHARED / name)
    mined, summary = mine_negatives(
        data, *vectors_of(data), MineConfig(strategy="mix", relative_margin=None, negatives=8)
    )
    several = [query for query, positives in data.positives("train").items() if len(positives) > 1]
    assert several, "the test needs queries with a second positive"
    positives_of = [data.positives(split) for split in data.qrels]
    for row in mined:
        positives = {passage for split in positives_of for passage in split.get(row.query_id, ())}
        assert positives.isdisjoint(negative.passage_id for negative in row.negatives)
    assert summary.dropped["known_positive"] > len(several)  # the rule had work to do


MINE_AND_WRITE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import whet
from test_ance import random_collection, vectors_of
from whet.mine.ance import mine_negatives
from whet.mine.config import MineConfig
from whet.mine.mined import write_mined
data = random_collection(3) if sys.argv[2] == "-" else whet.load(sys.argv[2])
config = MineConfig(strategy=sys.argv[3], pick="sample", depth=25, relative_margin=None)
write_mined(Path(sys.argv[4]), mine_negatives(data, *vectors_of(data), config)[0])
"""


@pytest.mark.parametrize("strategy", ["mix", "random"])
def test_bytes_are_the_same_in_a_process_with_another_hash_seed(tmp_path, strategy):
    source = SHARED / "eda_tiny"
    files = [tmp_path / f"{seed}.jsonl" for seed in "12"]
    for file in files:
        arguments = [
            str(Path(__file__).parent),
            str(source) if source.exists() else "-",
            strategy,
            str(file),
        ]
        environment = os.environ | {"PYTHONHASHSEED": file.stem}
        subprocess.run(
            [sys.executable, "-c", MINE_AND_WRITE, *arguments], check=True, env=environment
        )
    assert files[0].read_bytes() == files[1].read_bytes()
    rows = read_mined(files[0])
    assert sum(len(row.negatives) for row in rows) > len(rows)
