import json
import math
from dataclasses import replace

import numpy as np
import pytest

from whet.evaluate.significance import Comparison, compare
from whet.evaluate.verdict import (
    MIN_QUERIES,
    Evaluation,
    assess,
    p_words,
    points,
    shown_worse,
    signed,
    verdict,
)


def comparison(difference, low, high, p_value, wins=30, losses=10):
    return Comparison(difference, (low, high), p_value, wins, losses, 60, 100)


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        (comparison(0.05, 0.02, 0.08, 0.001), "better"),
        (comparison(-0.05, -0.08, -0.02, 0.001), "worse"),
        (comparison(0.05, 0.02, 0.08, 0.05), "not shown"),  # p must lie below alpha
        (comparison(0.05, 0.00, 0.08, 0.04), "not shown"),  # the interval touches 0
        (comparison(-0.05, -0.08, 0.01, 0.04), "not shown"),
        (comparison(0.0, 0.0, 0.0, 1.0), "not shown"),
    ],
)
def test_verdict_says_no_more_than_both_the_test_and_the_interval(compared, expected):
    assert verdict(compared) == expected


def ranking(positive_ranks):
    """Query n finds its positive "yes" at the given rank among 20 passages."""
    ranked = {}
    for n, rank in enumerate(positive_ranks):
        names = ["yes" if place == rank else f"no{place}" for place in range(1, 21)]
        ranked[f"q{n}"] = {name: 1 / place for place, name in enumerate(names, start=1)}
    return ranked


def assessed(before, after, bm25=()):
    qrels = {f"q{n}": {"yes": 1} for n in range(len(before))}
    return assess(qrels, ranking(before), ranking(after), ranking(bm25), np.random.default_rng(0))


def test_five_queries_can_never_show_anything():
    evaluation = assessed([10] * 5, [1] * 5)
    assert evaluation.verdict == "not shown"
    assert evaluation.summary_sentence.endswith(
        "5 queries); only 5 of them changed, too few for any test to show a difference."
    )
    assert assessed([10] * 6, [1] * 6).verdict == "better"


@pytest.mark.parametrize("count", [MIN_QUERIES - 1, MIN_QUERIES])
def test_few_queries_show_a_worse_model_by_their_mean(count):
    reference = {f"q{n}": 0.5 for n in range(count)}
    slightly_worse = reference | {"q0": 0.4}
    rng = np.random.default_rng(0)
    assert shown_worse(slightly_worse, reference, rng) == (count < MIN_QUERIES)
    assert not shown_worse(reference, slightly_worse, rng)
    assert shown_worse(dict.fromkeys(reference, 0.1), reference, rng)


def test_bm25_that_ranks_better_is_a_hint_where_the_queries_are_real():
    ahead = assessed([10] * 40, [2] * 40, bm25=[1] * 40)
    assert ahead.lexical_note.startswith(
        "BM25 scores 100.0 without a model, more than the tuned model's 63.1. Combine"
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
    same = assessed(before, before)
    assert same.verdict == "not shown"
    assert same.summary_sentence == (
        "Not shown to be better: nDCG@10 49.4 → 49.4 "
        "(+0.0, 95 % interval +0.0 to +0.0, p = 1.000, 40 queries)"
        "; only 0 of them changed, too few for any test to show a difference."
    )


def test_the_printed_object_has_exactly_the_promised_keys():
    evaluation = assessed([2] * 30 + [1], [1] * 30 + [2], bm25=[3] * 31)
    printed = json.loads(json.dumps(evaluation.to_result()))
    assert list(printed) == [
        "verdict",
        "measure",
        "base",
        "tuned",
        "bm25",
        "difference",
        "interval",
        "p_value",
        "queries",
        "kept_base",
        "synthetic",
    ]
    measures = {"nDCG@5", "nDCG@10", "RR@10", "AP@10", "R@100"}
    assert set(printed["base"]) == set(printed["tuned"]) == set(printed["bm25"]) == measures
    assert (printed["verdict"], printed["measure"], printed["queries"]) == ("better", "nDCG@10", 31)
    assert printed["bm25"]["nDCG@10"] == 0.5
    change = printed["tuned"]["nDCG@10"] - printed["base"]["nDCG@10"]
    assert printed["difference"] == pytest.approx(change, abs=2e-5)
    assert printed["interval"][0] < printed["difference"] < printed["interval"][1]


def test_an_evaluation_survives_json():
    evaluation = assessed([2] * 30 + [1], [1] * 30 + [2], bm25=[3] * 31)
    assert Evaluation.from_json(json.loads(json.dumps(evaluation.to_json()))) == evaluation


def test_a_kept_base_and_synthetic_queries_are_named():
    evaluation = assessed([2] * 30 + [1], [1] * 30 + [2])
    assert "synthetic" not in evaluation.summary_sentence
    remark = "31 queries, all synthetic: real queries may give another result)"
    assert remark in replace(evaluation, synthetic=True).summary_sentence
    kept = replace(assessed([1] * 9, [1] * 9), kept_base=True).summary_sentence
    assert kept == (
        "The base model was kept: no trained model qualified to replace it. "
        "nDCG@10 100.0 (9 queries)."
    )


def test_numbers_are_worded_one_way():
    assert points(0.6449) == "64.5"
    assert (signed(-0.0004), signed(-0.0312)) == ("+0.0", "-3.1")
    assert p_words(0.0009) == "p < 0.001"


def test_planted_null_shows_nothing():
    """Two systems whose names are swapped on random queries: 20 test sets, at most one "better"."""
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(20):
        ranks = rng.permuted(rng.integers(1, 15, (2, 120)), axis=0)
        values = [[1 / math.log2(r + 1) if r <= 10 else 0.0 for r in system] for system in ranks]
        base, tuned = ({f"q{n}": v for n, v in enumerate(system)} for system in values)
        compared = compare(base, tuned, rng)
        verdicts.append(verdict(compared))
        assert compared.wins > 20  # the systems do differ
    assert verdicts.count("better") <= 1
    assert verdicts.count("not shown") >= 17
