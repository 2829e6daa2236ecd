import json
from dataclasses import replace

import numpy as np
import pytest

from whet.evaluate.significance import Comparison
from whet.evaluate.verdict import Evaluation, assess, p_words, points, signed, verdict


def comparison(difference, low, high, p_value, wins=30, losses=10):
    return Comparison(difference, (low, high), p_value, wins, losses, 60, 100)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (comparison(0.05, 0.02, 0.08, 0.001), "better"),
        (comparison(-0.05, -0.08, -0.02, 0.001), "worse"),
        (comparison(0.05, 0.02, 0.08, 0.05), "not shown"),  # p must lie below alpha
        (comparison(0.05, 0.00, 0.08, 0.04), "not shown"),  # the interval touches 0
        (comparison(-0.05, -0.08, 0.01, 0.04), "not shown"),
        (comparison(0.0, 0.0, 0.0, 1.0), "not shown"),
    ],
)
def test_verdict_says_no_more_than_both_the_test_and_the_interval(found, expected):
    assert verdict(found) == expected


def ranking(positive_ranks):
    """Query n finds its positive "yes" at the given rank among 20 passages."""
    return {
        f"q{n}": {("yes" if place == rank else f"no{place}"): 1 / place for place in range(1, 21)}
        for n, rank in enumerate(positive_ranks)
    }


def assessed(before, after, bm25=()):
    qrels = {f"q{n}": {"yes": 1} for n in range(len(before))}
    return assess(qrels, ranking(before), ranking(after), ranking(bm25), np.random.default_rng(0))


def test_five_queries_can_never_show_anything():
    found = assessed([10] * 5, [1] * 5)
    assert found.verdict == "not shown"
    assert found.summary_sentence.endswith(
        "5 queries); only 5 of them changed, too few for any test to show a difference."
    )
    assert assessed([10] * 6, [1] * 6).verdict == "better"


def test_bm25_that_ranks_better_is_a_hint_where_the_queries_are_real():
    ahead = assessed([10] * 40, [2] * 40, bm25=[1] * 40)
    assert ahead.lexical_note.startswith(
        "BM25 comes to 100.0 without a model, more than the tuned model's 63.1: search"
    )
    assert "more than the base model's" in replace(ahead, kept_base=True).lexical_note
    assert replace(ahead, synthetic=True).lexical_note == ""
    assert assessed([10] * 40, [1] * 40, bm25=[1] * 40).lexical_note == ""
    a_hair = {measure: value + 1e-4 for measure, value in ahead.tuned.items()}
    assert replace(ahead, bm25=a_hair).lexical_note == ""


def test_both_ways_and_neither():
    before, after = [1, 2, 3, 4, 5, 6, 7, 8] * 5, [1, 1, 2, 3, 4, 5, 6, 9] * 5
    assert assessed(before, after).verdict == "better"
    assert assessed(after, before).verdict == "worse"
    assert assessed(before, before).verdict == "not shown"
    assert assessed(before, before).summary_sentence == (
        "Not shown to be better: nDCG@10 49.4 → 49.4 (+0.0, 95 % interval +0.0 to +0.0, p = 1.000, 40 queries)"
        "; only 0 of them changed, too few for any test to show a difference."
    )


def test_json_has_exactly_the_promised_keys_and_survives_json():
    found = assessed([2] * 30 + [1], [1] * 30 + [2], bm25=[3] * 31)
    told = json.loads(json.dumps(found.to_json()))
    keys = [
        "verdict",
        "measure",
        "base",
        "tuned",
        "bm25",
        "difference",
        "interval",
        "p_value",
        "queries",
    ]
    assert list(told) == [*keys, "kept_base", "synthetic"]
    assert told["verdict"] == "better"
    assert told["measure"] == "nDCG@10"
    assert (
        set(told["base"])
        == set(told["tuned"])
        == set(told["bm25"])
        == {"nDCG@5", "nDCG@10", "RR@10", "AP@10", "R@100"}
    )
    assert told["bm25"]["nDCG@10"] == 0.5
    assert told["difference"] == pytest.approx(
        told["tuned"]["nDCG@10"] - told["base"]["nDCG@10"], abs=2e-5
    )
    assert told["interval"][0] < told["difference"] < told["interval"][1]
    assert told["queries"] == 31
    assert Evaluation.from_record(json.loads(json.dumps(found.to_record()))) == found


def test_a_kept_base_and_synthetic_queries_are_said():
    found = assessed([2] * 30 + [1], [1] * 30 + [2])
    assert "synthetic" not in found.summary_sentence
    assert (
        "31 queries, all synthetic: real ones may tell otherwise)"
        in replace(found, synthetic=True).summary_sentence
    )
    kept = replace(assessed([1] * 9, [1] * 9), kept_base=True).summary_sentence
    assert (
        kept
        == "The base model was kept, for no trained one was fit to replace it: nDCG@10 100.0 (9 queries)."
    )


def test_numbers_are_worded_one_way():
    assert (points(0.6449), signed(-0.0004), signed(-0.0312), p_words(0.0009)) == (
        "64.5",
        "+0.0",
        "-3.1",
        "p < 0.001",
    )


def test_planted_null_shows_nothing():
    """Two systems whose names are swapped at random on every query: 20 test sets, at most one "better"."""
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(20):
        ranks = rng.integers(1, 15, (2, 120))
        found = assessed(*rng.permuted(ranks, axis=0).tolist())
        verdicts.append(found.verdict)
        assert found.comparison.wins > 20  # the systems do differ
    assert verdicts.count("better") <= 1
    assert verdicts.count("not shown") >= 17
