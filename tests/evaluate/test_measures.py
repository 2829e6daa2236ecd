import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from whet.errors import ConfigError, WhetError
from whet.evaluate.measures import MEASURES, areas, means, measurable, per_query
from whet.evaluate.runs import break_ties

PASSAGES = [f"p{number}" for number in range(8)]
grades = st.dictionaries(st.sampled_from(PASSAGES), st.integers(-1, 3), min_size=1)
# Few distinct scores, so that most rankings hold ties; also ones that only float64 tells apart.
scores = st.dictionaries(
    st.sampled_from(PASSAGES), st.sampled_from([0.0, 0.25, 0.5, 0.5 + 1e-12, -1.0, 31.7])
)
queries = st.sampled_from(["q1", "q2", "q3"])


def ndcg(judged, ranked, cutoff):
    """Graded nDCG written out: the grade is the gain, log2(rank + 1) the discount."""
    gains = [max(judged.get(passage, 0), 0) for passage in ranked[:cutoff]]
    best = sorted((max(grade, 0) for grade in judged.values()), reverse=True)[:cutoff]
    dcg = sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
    ideal = sum(gain / math.log2(rank + 1) for rank, gain in enumerate(best, start=1))
    return dcg / ideal


def reciprocal_rank(judged, ranked, cutoff):
    for rank, passage in enumerate(ranked[:cutoff], start=1):
        if judged.get(passage, 0) > 0:
            return 1 / rank
    return 0.0


def average_precision(judged, ranked, cutoff):
    hits, total = 0, 0.0
    for rank, passage in enumerate(ranked[:cutoff], start=1):
        if judged.get(passage, 0) > 0:
            hits += 1
            total += hits / rank
    return total / sum(grade > 0 for grade in judged.values())


def recall(judged, ranked, cutoff):
    positives = {passage for passage, grade in judged.items() if grade > 0}
    return len(positives & set(ranked[:cutoff])) / len(positives)


ORACLES = {
    "nDCG@5": (ndcg, 5),
    "nDCG@10": (ndcg, 10),
    "RR@10": (reciprocal_rank, 10),
    "AP@10": (average_precision, 10),
    "R@100": (recall, 100),
}


@given(st.dictionaries(queries, grades, min_size=1), st.dictionaries(queries, scores))
def test_measures_are_the_written_out_ones_in_the_order_of_the_ranking(qrels, ranking):
    measurable = [query for query, judged in qrels.items() if max(judged.values()) > 0]
    if not measurable:
        with pytest.raises(WhetError, match="positive"):
            per_query(qrels, ranking)
        return
    values = per_query(qrels, ranking)
    assert list(values) == list(MEASURES)
    for measure, (oracle, cutoff) in ORACLES.items():
        assert list(values[measure]) == measurable
        for query in measurable:
            order = sorted(ranking.get(query, {}), key=lambda p: -ranking[query][p])
            expected = oracle(qrels[query], order, cutoff)
            assert values[measure][query] == pytest.approx(expected, abs=1e-12)


@given(grades.filter(lambda judged: max(judged.values()) > 0), scores.filter(bool))
def test_nothing_is_left_for_trec_eval_to_break(judged, ranked):
    """Untied scores give in trec_eval what the search's order says, however it breaks ties."""
    clipped = {passage: max(grade, 0) for passage, grade in judged.items()}
    measures = {"ndcg_cut_10", "map_cut_10", "recall_100"}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": clipped}, measures)
    theirs = evaluator.evaluate({"q": break_ties(ranked)})["q"]
    ours = per_query({"q": judged}, {"q": ranked})
    assert theirs["ndcg_cut_10"] == ours["nDCG@10"]["q"]
    assert theirs["map_cut_10"] == ours["AP@10"]["q"]
    assert theirs["recall_100"] == ours["R@100"]["q"]


def test_a_tie_is_broken_by_the_search_and_not_by_the_names():
    for first, second in (("a", "b"), ("b", "a")):
        values = per_query({"q": {first: 1}}, {"q": {first: 0.5, second: 0.5}})
        assert [values[measure]["q"] for measure in MEASURES] == [1.0] * len(MEASURES)


def test_gain_is_the_grade_itself():
    values = per_query({"q": {"high": 3, "low": 1}}, {"q": {"low": 2.0, "high": 1.0}}, ["nDCG@10"])
    assert values["nDCG@10"]["q"] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_a_query_without_results_counts_and_one_without_positives_does_not():
    qrels = {"found": {"a": 1}, "empty": {"a": 1}, "missing": {"a": 2}, "unjudged": {"a": 0}}
    values = per_query(qrels, {"found": {"a": 1.0}, "empty": {}, "stranger": {"a": 1.0}})
    assert values["nDCG@10"] == {"found": 1.0, "empty": 0.0, "missing": 0.0}
    assert means(values)["nDCG@10"] == pytest.approx(1 / 3)


def test_only_queries_with_a_positive_are_measurable_and_trec_eval_sees_no_negative_grade():
    judged = {"q": {"a": 2, "b": -1}, "none": {"a": -1, "b": 0}}
    assert measurable(judged) == {"q": {"a": 2, "b": 0}}


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(WhetError, match="'b' has the score nan"):
        per_query({"q": {"a": 1}}, {"q": {"a": 1.0, "b": math.nan}})


def test_areas_need_relevant_and_irrelevant_pairs():
    scores = np.array([0.9, 0.8, 0.1])
    assert areas(scores, np.array([1, 1, 0])) == (1.0, 1.0)
    assert areas(scores, np.array([0, 0, 1]))[0] == 0.0
    for relevance in ([1, 1, 1], [0, 0, 0]):
        with pytest.raises(ConfigError, match="AUC needs both kinds"):
            areas(scores, np.array(relevance))
